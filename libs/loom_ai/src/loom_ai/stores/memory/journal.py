"""Implements a journal in memory, for tests and for runs that keep nothing after they end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from loom_ai.ports import Entry, Kept
from loom_ai.stores.sql.sums import Sums, to_be_cleared


class MemoryJournal:
    """Implements a `Journal` in a dictionary."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        return {key: self._entries[key] for key in keys if key in self._entries}

    async def put_many(self, entries: Sequence[Entry]) -> None:
        self._entries.update((entry.key, entry) for entry in entries)

    async def kept(self) -> list[Kept]:
        sums = Sums()
        for entry in self._entries.values():
            sums.add(entry)
        return sums.all()

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        gone = [key for key, entry in self._entries.items() if to_be_cleared(entry, before, model)]
        for key in gone:
            del self._entries[key]
        return len(gone)

    async def close(self) -> None:
        self._entries.clear()
