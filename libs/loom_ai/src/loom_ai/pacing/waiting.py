"""Time that a call spends waiting for its turn, told to who counts how long it takes: a call that may not go yet is not
a slow one, and holds no place that another could have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic
from types import TracebackType


class _UnderWay:
    """Holds a place within a block, as `Waiting.under_way` says."""

    __slots__ = ("_waiting",)

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    async def __aenter__(self) -> None:
        await self._waiting.take()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.give()


@dataclass(slots=True)
class Waiting:
    """Measures how long one call waits."""

    slots: asyncio.Semaphore | None = None
    """Holds the places of calls under way, one of which it has but while it waits."""
    _has_one: bool = False
    _lent: bool = False
    _seconds: float = 0.0
    _since: float | None = None

    @property
    def idle(self) -> bool:
        """Tell whether nothing of the call is under way."""
        return not self._has_one

    def seconds(self) -> float:
        """Tell how long it waited so far."""
        return self._seconds + (0.0 if self._since is None else monotonic() - self._since)

    def under_way(self) -> _UnderWay:
        """Count the time around the call as under way. Waits for a place."""
        return _UnderWay(self)

    @asynccontextmanager
    async def for_a_turn(self) -> AsyncIterator[None]:
        """Count the time around the waiting as waiting for a turn. Waits for a place after it."""
        self._since = self._since or monotonic()
        self.give()
        try:
            yield
            await self.take()
        finally:
            self._seconds += monotonic() - self._since
            self._since = None

    async def begin(self, slots: asyncio.Semaphore) -> None:
        """Take one of `slots`, which is released when the call is over. The time until one is free counts as
        waiting."""
        if slots.locked():
            with self.for_another():
                await slots.acquire()
        else:
            await slots.acquire()  # it does not wait

    @contextmanager
    def for_another(self) -> Iterator[None]:
        """Around the waiting for what another one asks, before a place is taken."""
        self._since = monotonic()
        try:
            yield
        finally:
            self._seconds += monotonic() - self._since
            self._since = None

    def lend(self) -> None:
        """Let another have its place, though it is under way and goes on: it takes long."""
        if self._has_one and not self._lent:
            self._lent = True
            if self.slots is not None:
                self.slots.release()

    async def take(self) -> None:
        """Take a place, once one is free, unless it has one."""
        if not self._has_one:
            if self.slots is not None:
                await self.slots.acquire()
            self._has_one = True

    def give(self) -> None:
        """Give the place of a call back, if it has one."""
        if self._has_one:
            self.lend()
            self._has_one = self._lent = False
