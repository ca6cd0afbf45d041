"""Reads on in a partition before its next slice is asked for.

From the answer of a slice to the request for the next one it takes the coordinator's turn, in which nobody would read.
What is read meanwhile is what the request would read, from the same place, so that nothing depends on it: it is used
where the request comes, and dropped where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

import orjson
from cachetools import LRUCache

from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.record_bytes import MIB
from loom_extractor.sources.bounded_reading import IdentifiedPage, PagesAhead

MOST_BYTES = 4 * MIB
"""The bytes of all that is read ahead, as JSON. A slice that is larger takes so long to be read that the turn of the
coordinator hardly counts."""
SOON_SECONDS = 1.0
"""Says how soon the next slice is asked for where the run waits for reading."""
KEPT_SECONDS = 5.0
"""Says after how long something is dropped that nobody asks for."""
_PARTITIONS = 256


class _Key(NamedTuple):
    run_id: str
    partition: int


@dataclass(frozen=True, slots=True)
class _Answered:
    """Says which slice of a partition is the next one, and when the one before it was answered."""

    epoch: int
    slice: int
    at: float = field(default_factory=monotonic)

    def is_followed_by(self, request: ExtractSlice) -> bool:
        """Tell whether a request comes soon, and is for the next slice."""
        return (self.epoch, self.slice) == (request.epoch, request.slice) and monotonic() - self.at < SOON_SECONDS


@dataclass(slots=True)
class _Reading:
    """Reads a slice that is not asked for yet."""

    request: ExtractSlice
    """Is the request that is expected."""
    most: int
    """The bytes after which no further page is read."""
    pages: list[IdentifiedPage] = field(default_factory=list)
    error: Exception | None = None
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """Return the bytes of what was read."""
        return sum(each.size for each in self.pages)

    def is_for(self, request: ExtractSlice) -> bool:
        """Tell whether a request reads from this place on."""
        mine = self.request
        here = (mine.epoch, mine.slice, mine.plan, mine.piece) == (
            request.epoch,
            request.slice,
            request.plan,
            request.piece,
        )
        return here and _written(mine.cursor) == _written(request.cursor)

    def end(self) -> None:
        """Give up what is being read, and forget it."""
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()


ReadOn = Callable[[ExtractSlice, int, Callable[[IdentifiedPage], None]], Awaitable[None]]
"""Reads a slice page by page, gives each page, and reads none after so many bytes. Raises as reading a slice does."""


class ReadAhead:
    """Holds at most one slice of each partition, and so many bytes of all together.

    It reads on only where the last two slices of a partition were read here, the second soon after the first: where
    another extractor reads the next one, or nobody does for a while, reading would be in vain."""

    def __init__(self, read_on: ReadOn, *, most_bytes: int = MOST_BYTES, kept_seconds: float = KEPT_SECONDS) -> None:
        self._read_on = read_on
        self._most_bytes = most_bytes
        self._kept_seconds = kept_seconds
        self._answered: LRUCache[_Key, _Answered] = LRUCache(_PARTITIONS)
        self._readings: dict[_Key, _Reading] = {}

    @property
    def held(self) -> int:
        """Return the bytes of what is held, and of what is being read."""
        return sum(max(each.size, each.most) for each in self._readings.values())

    async def taken(self, request: ExtractSlice) -> PagesAhead:
        """Return what was read of a slice, once it is, and hold it no longer. Nothing is raised before the page is
        asked for that could not be read."""
        reading = self._readings.pop(_key(request), None)
        if reading is None:
            return PagesAhead()
        if not reading.is_for(request):
            reading.end()
            return PagesAhead()
        try:
            if reading.task is not None:
                await asyncio.wait([reading.task])
        finally:
            reading.end()
        return PagesAhead(request.cursor, reading.pages, reading.error)

    def follows(self, request: ExtractSlice) -> bool:
        """Tell whether a request is for the slice after the last one that was answered here, and comes soon."""
        answered = self._answered.get(_key(request))
        return answered is not None and answered.is_followed_by(request)

    def answered(self, request: ExtractSlice, *, expected: ExtractSlice | None, size: int) -> None:
        """Take note that a slice of so many bytes is answered. Begin to read the `expected` next one; None where none
        is."""
        key = _key(request)
        self._answered[key] = _Answered(request.epoch, request.slice + 1)
        if expected is None or self.held + size > self._most_bytes or _written(expected.cursor) is None:
            return
        self._drop(key)
        reading = self._readings[key] = _Reading(expected, size)
        reading.task = asyncio.create_task(self._read(reading))
        reading.timer = asyncio.get_running_loop().call_later(self._kept_seconds, self._drop, key)

    def forget(self, run_id: str) -> None:
        """Drop what was read ahead for a run."""
        for key in [each for each in self._readings if each.run_id == run_id]:
            self._drop(key)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Drop all when the block ends."""
        try:
            yield
        finally:
            tasks = [each.task for each in self._readings.values() if each.task is not None]
            for key in list(self._readings):
                self._drop(key)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, reading: _Reading) -> None:
        try:
            await self._read_on(reading.request, reading.most, reading.pages.append)
        except Exception as error:  # noqa: BLE001 - it is raised where somebody asks for what could not be read
            reading.error = error

    def _drop(self, key: _Key) -> None:
        if (reading := self._readings.pop(key, None)) is not None:
            reading.end()


def _key(request: ExtractSlice) -> _Key:
    return _Key(request.run_id, request.partition)


def _written(cursor: object) -> bytes | None:
    """Return a cursor as it comes back in a request; None for one that cannot be compared."""
    try:
        return orjson.dumps(cursor, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None
