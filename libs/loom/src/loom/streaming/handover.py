"""Holds a few settled records between a run and whoever takes them. A full one lets the run wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from loom.streaming.settled import Record


class Handover:
    """Holds at most `most` records."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ready: deque[Record] = deque()
        self._changed = asyncio.Condition()
        self._ended = False
        self._closed = False

    async def give(self, records: Sequence[Record]) -> None:
        """Hand records over, and return when there was room for all. Once nobody takes any more, they are dropped."""
        for record in records:
            async with self._changed:
                await self._changed.wait_for(lambda: self._closed or len(self._ready) < self._most)
                if self._closed:
                    return
                self._ready.append(record)
                self._changed.notify_all()

    async def take(self) -> Record | None:
        """Return the next record; None after the last."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self._ended or bool(self._ready))
            if self._closed or not self._ready:
                return None
            record = self._ready.popleft()
            self._changed.notify_all()
            return record

    async def end(self) -> None:
        """Say that no record follows."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def close(self) -> None:
        """Say that nobody takes records any more, and drop those that are here."""
        async with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
