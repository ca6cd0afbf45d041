"""Finds the record of a batch that ends its worker process, so that the other records are processed.

A batch is marked as begun before user code gets it, and the mark is removed after. A mark that is found was left by a
process that died. The records of its batch are then processed one by one, each marked as started, and no other user
code runs in this process meanwhile. A record that was started twice and never finished is not processed again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from uuid import uuid4

from loom_common.domain.marks import POISON, STRIKES, Mark
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import LoomError, RecordError, WorkerWornOut
from loom_common.flow import Stage
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.marks import Marks

_QUIET_SECONDS = 60.0
_SUSPICIOUS = 5
"""Redeliveries after which a batch is suspect though nothing is marked: the marks may have been lost."""


@dataclass(frozen=True, slots=True)
class Risk:
    """Describes what a stage does to a batch, seen as a danger to its process."""

    deaths: int
    """The number of processes that died with the batch in flight after which its records are processed one by
    one."""
    in_process: bool
    """Tells whether its code runs in this process, so that it and a suspect record may not run side by side."""
    whole: bool = False
    """Tells whether what it makes of a record depends on the others of the batch. Its records are never processed one
    by one, but all kept back after so many deaths."""


USER_CODE = Risk(deaths=1, in_process=True)
MODEL_CALLS = Risk(deaths=2, in_process=False)
"""The model is elsewhere. A worker that dies over its answers most often died for another reason, and taking the
records of a batch one by one would cost the time of as many answers."""

WHOLE_BATCHES = Risk(deaths=STRIKES, in_process=True, whole=True)


class Identified(Protocol):
    """Describes a record by its id."""

    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Identified)
O = TypeVar("O")  # noqa: E741 - an outcome


class ReadWriteLock:
    """Represents a lock around user code: many batches hold it together, or one record holds it alone. A record that
    waits to hold it alone comes before batches."""

    def __init__(self) -> None:
        self._present = 0
        self._alone = False
        self._wishes = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold the lock together with others."""
        while self._alone or self._wishes:
            await self._changed.wait()
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1
            self._tell()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold the lock alone."""
        self._wishes += 1
        try:
            while self._alone or self._present:
                await self._changed.wait()
            self._alone = True
        finally:
            self._wishes -= 1
            self._tell()
        try:
            yield
        finally:
            self._alone = False
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Isolation:
    """Isolates dangerous records of one stage in one process."""

    def __init__(
        self, marks: Marks, stage: Stage, lock: ReadWriteLock | None = None, clock: Clock | None = None
    ) -> None:
        self._marks = marks
        self._stage = stage
        self._lock = lock or ReadWriteLock()
        self._clock = clock or SystemClock()
        self._process = uuid4().hex[:12]
        self._quiet_until = 0.0

    async def each(
        self,
        batch_id: str,
        records: Sequence[R],
        work: Callable[[Sequence[R]], Awaitable[list[O]]],
        kept_away: Callable[[R, RecordError], O],
        risk: Risk,
        attempt: Attempt,
    ) -> list[O]:
        """Return `work`'s outcome of every record, in order; for those that must not be processed, what `kept_away`
        makes of them. `attempt` says how often the batch was delivered before. Raises what `work` raises."""
        batch = f"{self._stage}:{batch_id}"
        mark = await self._begun(batch)
        outcomes: list[O]
        try:
            if risk.whole and mark.begun >= risk.deaths:
                log.warning("batch kept back", batch_id=batch_id, deaths=mark.begun)
                outcomes = [kept_away(record, _of_the_batch(mark)) for record in records]
            elif not risk.whole and (mark.begun >= risk.deaths or attempt.redelivered >= _SUSPICIOUS):
                log.warning("batch taken record by record", batch_id=batch_id, deaths=mark.begun)
                outcomes = []
                for record in records:
                    if (error := mark.verdict(record.id)) is not None:
                        outcomes.append(kept_away(record, error))
                        continue
                    async with self._lock.alone():
                        mark = mark.starting(record.id)
                        await self._kept(batch, mark)
                        outcomes += await work([record])
            else:
                outcomes = await self._together(mark, records, work, kept_away, risk)
        except WorkerWornOut as worn:
            # It is not set down: what is left of the batch is for the process that takes this one's place.
            await self._kept(batch, mark.hanging([each.id for each in worn.hung]))
            raise
        except BaseException:
            await self._set_down(batch, mark)
            raise
        await self._quietly(self._marks.clear(batch))
        return outcomes

    async def _together(
        self,
        mark: Mark,
        records: Sequence[R],
        work: Callable[[Sequence[R]], Awaitable[list[O]]],
        kept_away: Callable[[R, RecordError], O],
        risk: Risk,
    ) -> list[O]:
        barred = {record.id: error for record in records if (error := mark.verdict(record.id)) is not None}
        free = [record for record in records if record.id not in barred]
        if risk.in_process:
            async with self._lock.shared():
                done = iter(await work(free))
        else:
            done = iter(await work(free))
        return [kept_away(record, barred[record.id]) if record.id in barred else next(done) for record in records]

    async def _begun(self, batch: str) -> Mark:
        """Return the mark as begun by this process, with all that is known of earlier beginnings."""
        mine = Mark(self._process)
        found = await self._quietly(self._marks.begin(batch, mine))
        if found is None or found.by == self._process:
            # This process works on another delivery of the batch, and lives: nothing died of it.
            return mine if found is None else replace(found, begun=0)
        mark = found.taken_over(self._process)
        await self._kept(batch, mark)
        return mark

    async def _kept(self, batch: str, mark: Mark) -> None:
        await self._quietly(self._marks.keep(batch, mark))

    async def _set_down(self, batch: str, mark: Mark) -> None:
        left = mark.set_down()
        await self._quietly(self._marks.clear(batch) if left is None else self._marks.keep(batch, left))

    async def _quietly(self, operation: Awaitable[Mark | None]) -> Mark | None:
        """Go on without marks where there are none to be had."""
        try:
            return await operation
        except LoomError as error:
            if self._clock.monotonic() >= self._quiet_until:
                self._quiet_until = self._clock.monotonic() + _QUIET_SECONDS
                log.warning("no marks: a record that kills its worker cannot be found", error=str(error))
            return None


def _of_the_batch(mark: Mark) -> RecordError:
    return RecordError(
        f"Its batch took its worker down {mark.begun} times, and is always processed as a whole", code=POISON
    )
