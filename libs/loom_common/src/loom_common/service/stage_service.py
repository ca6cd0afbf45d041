"""Runs the consumers of a service: a worker for each, and an epoch guard and a control channel that they share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from loom_common.adapters.wrapped.facts_together import FactsTogether, Readers
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import PrefetchLimit, RunEpoch
from loom_common.service.bootstrap import Platform
from loom_common.service.control.channel import ControlChannel
from loom_common.service.control.epochs_at_start import EpochsAtStart
from loom_common.worker.consumer_spec import ConsumerSpec, Handler
from loom_common.worker.context import Context
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker

M = TypeVar("M", bound=Message)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Handling(Generic[M, Result]):
    """Holds what handles the messages of a stage."""

    handler: Handler[M, Result]
    closing: Callable[[], contextlib.AbstractAsyncContextManager[None]]
    """Closes at the end of its block what the handler has opened."""
    hear: Callable[[RunEpoch], Awaitable[None]]
    """Is told of runs that were paused, resumed or cancelled."""


class LateHandling(Generic[M, Result]):
    """Opens what handles the messages of a stage when there is something for it to do. To import it takes a twentieth
    of a short run, and many runs have nothing for it."""

    def __init__(self, open_handling: Callable[[], Handling[M, Result]], *, at_once: bool) -> None:
        """`at_once` opens it now, so that a process of a cluster says at its start what it cannot use."""
        self._open = open_handling
        self._opened = open_handling() if at_once else None

    def opened(self) -> Handling[M, Result]:
        """Return what handles messages. It is opened where it is not yet."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def handle(self, message: M, context: Context) -> Result:
        """Handle a message. Raises what its handler raises."""
        return await self.opened().handler(message, context)

    async def hear(self, said: RunEpoch) -> None:
        """Take note of a run that was paused, resumed or cancelled: what the run has left at a provider is known to
        what handles its messages, also where none comes any more."""
        await self.opened().hear(said)

    @contextlib.asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close at the end of the block what was opened, before it or within it."""
        if self._opened is not None:
            async with self._opened.closing():
                yield
            return
        try:
            yield
        finally:
            if self._opened is not None:
                async with self._opened.closing():
                    pass


class StageService:
    """Runs workers, one per consumer, and an epoch guard that they share."""

    def __init__(
        self,
        name: str,
        consumers: Sequence[ConsumerSpec],
        platform: Platform,
        close: Callable[[], contextlib.AbstractAsyncContextManager[None]] | None = None,
        hear: Callable[[RunEpoch], Awaitable[None]] | None = None,
    ) -> None:
        """`hear` is told of runs that were paused, resumed or cancelled, beside the guard."""
        self._hear = hear
        self._name = name
        self._consumers = consumers
        self._platform = platform
        self._stats = [platform.stats.consumer(consumer.queue) for consumer in consumers]
        self._close = close or contextlib.nullcontext

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. A replica of a cluster first asks which runs have ended whose messages may wait for it."""
        guard = EpochGuard()
        settings = self._platform.settings
        drain = settings.worker.drain_seconds
        readers = Readers()
        bus = FactsTogether(self._platform.bus, readers)
        workers = [
            Worker(
                self._name,
                consumer,
                bus,
                guard,
                drain,
                stats,
                self._platform.clock,
                replaceable=not settings.embedded,
                carrier=self._platform.carrier,
            )
            for consumer, stats in zip(self._consumers, self._stats, strict=True)
        ]
        control = ControlChannel(self._platform.bus, self._name)
        control.overheard = readers.hear
        control.on(RunEpoch, partial(_both_hear, guard, self._hear))
        control.on(PrefetchLimit, lambda limit: _all_heed(workers, limit))
        asking = None if settings.embedded else EpochsAtStart(self._name, self._platform.bus, control, guard)
        following = asyncio.create_task(control.follow())
        async with self._close():
            try:
                if asking is not None:
                    await asking.learn(stop)
                async with asyncio.TaskGroup() as tasks:
                    for worker in workers:
                        tasks.create_task(self._platform.watchdog.watched(worker.run(stop)))
            finally:
                await control.stop()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def _both_hear(guard: EpochGuard, hear: Callable[[RunEpoch], Awaitable[None]] | None, said: RunEpoch) -> None:
    await guard.hear(said)
    if hear is not None:
        await hear(said)


async def _all_heed(workers: Iterable[Worker], limit: PrefetchLimit) -> None:
    for worker in workers:
        await worker.heed(limit)
