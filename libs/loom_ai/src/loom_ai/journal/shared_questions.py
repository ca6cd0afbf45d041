"""Records which questions are being asked in shared calls at this moment, so that no two such calls hold the same
one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from loom_ai.journal.single_flight import SingleFlight
from loom_ai.ports import Entry, Payer


class SharedQuestions:
    """Shares the questions of one process; with `fleet`, those of all processes that share its claims."""

    def __init__(self, fleet: SingleFlight | None = None) -> None:
        self._fleet = fleet
        self._asked: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def taken(self, payers: Mapping[str, Payer]) -> AsyncIterator[set[str]]:
        """Yield those of the questions, named by their keys, that nobody else asks: they are the caller's within the
        block. It never waits, so two callers that want each other's questions cannot hold each other up."""
        free = {key: payer for key, payer in payers.items() if key not in self._asked}
        self._asked |= {key: asyncio.Event() for key in free}
        mine = set(free)
        try:
            if self._fleet is not None and free:
                mine = await self._fleet.taken(free)
                self._let_go(set(free) - mine)
            yield mine
        finally:
            if self._fleet is not None:
                self._fleet.let_go(mine)
            self._let_go(mine)

    async def until_free(self, key: str, payer: Payer, look_up: Callable[[], Awaitable[Entry | None]]) -> None:
        """Return when nobody asks that question any more; across processes also as soon as `look_up` finds what they
        wrote down."""
        if (asked := self._asked.get(key)) is not None:
            await asked.wait()
        if self._fleet is not None and await look_up() is None:  # another process may have it
            await self._fleet.until_free(key, payer, look_up)

    def _let_go(self, keys: Iterable[str]) -> None:
        for key in keys:
            if (asked := self._asked.pop(key, None)) is not None:
                asked.set()
