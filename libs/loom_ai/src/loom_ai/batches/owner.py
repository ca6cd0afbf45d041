"""Looks after the batches of the places that this process owns: submits what is gathered, asks how far batches are,
and reads their results. A place has one owner at a time, by a lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from uuid import uuid4

from loom_ai.batches.reading import Reading
from loom_ai.batches.requests.client import Sessions
from loom_ai.batches.requests.store import BatchStore
from loom_ai.batches.requests.values import Batch, BatchState
from loom_ai.batches.submission import Submission
from loom_ai.settings import BatchSettings
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock


class Owner:
    """Owns places. Everything that it has to remember is in the store."""

    def __init__(
        self,
        store: BatchStore,
        submission: Submission,
        reading: Reading,
        sessions: Sessions,
        clock: Clock,
        settings: BatchSettings,
    ) -> None:
        self._store = store
        self._submission = submission
        self._reading = reading
        self._sessions = sessions
        self._clock = clock
        self._settings = settings
        self._holder = uuid4().hex
        self._looking = asyncio.Lock()
        self._polled: dict[str, float] = {}

    async def run(self) -> None:
        """Look after all places until none has anything to do. An error of a store or a provider is tried again; any
        other one is raised."""
        settings = self._settings
        pause = min(settings.poll_seconds, max(settings.gather_seconds / 2, 0.05))
        while True:
            try:
                if not await self.look():
                    return
            except LoomError as error:
                log.warning("batches are looked after later", error=str(error))
            await self._clock.sleep(pause)

    async def look(self, *, now: bool = False) -> bool:
        """Look once at every place, and return whether any has something to do. `now` asks providers, however lately
        they were asked."""
        async with self._looking:
            places = await self._store.places()
            if now:
                self._polled.clear()
            for place in places:
                if await self._store.own(place, self._holder, self._settings.lease_seconds):
                    await self._while_owned(place)
            return bool(places)

    async def close(self) -> None:
        """Give back all places, so that another process need not wait for the leases to end."""
        with contextlib.suppress(LoomError):
            await self._store.disown(self._holder)
        await self._sessions.close()

    async def _while_owned(self, place: str) -> None:
        """Look after a place. Stops where the lease is lost, because another process owns the place then."""
        work = asyncio.create_task(self._tend(place))
        renewing = asyncio.create_task(self._renew(place))
        try:
            await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.warning("another worker looks after these batches now")
                return
            work.result()
        finally:
            for task in (work, renewing):
                task.cancel()
            await asyncio.gather(work, renewing, return_exceptions=True)

    async def _renew(self, place: str) -> None:
        """Renew the lease until it is lost."""
        while True:
            await self._clock.sleep(self._settings.lease_seconds / 3)
            if not await self._store.own(place, self._holder, self._settings.lease_seconds):
                return

    async def _tend(self, place: str) -> None:
        for batch in await self._store.batches(place):
            await self._guarded(batch)
        await self._submission.give_up(place)
        while (intended := await self._submission.next(place)) is not None:
            await self._guarded(intended)

    async def _guarded(self, batch: Batch) -> None:
        """Do what is to be done next with one batch. The run is told what stands in its way, which is tried again."""
        try:
            await self._advanced(batch)
        except LoomError as error:
            log.warning("a batch is looked after later", batch=batch.id, error=str(error))
            if str(error) != batch.problem:
                await self._store.change(batch.id, problem=str(error)[:2000])

    async def _advanced(self, batch: Batch) -> None:
        match batch.state:
            case BatchState.INTENDED:
                await self._submission.submit(batch)
            case BatchState.SUBMITTING:
                await self._submission.recover(batch)
            case BatchState.RUNNING | BatchState.CANCELLING if self._is_due(batch):
                await self._reading.poll(batch)
            case BatchState.READING:
                await self._reading.read(batch)

    def _is_due(self, batch: Batch) -> bool:
        now = self._clock.monotonic()
        if now - self._polled.get(batch.id, float("-inf")) < self._settings.poll_seconds:
            return False
        self._polled[batch.id] = now
        return True


MakeOwner = Callable[[], Owner]
