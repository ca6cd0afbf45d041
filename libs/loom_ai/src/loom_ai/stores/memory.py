"""A journal that lasts as long as its process: for tests, and for runs that want nothing kept."""

from __future__ import annotations

from collections.abc import Sequence

from loom_ai.ports import Entry


class MemoryJournal:
    """A dict."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        return {key: self._entries[key] for key in keys if key in self._entries}

    async def put_many(self, entries: Sequence[Entry]) -> None:
        self._entries.update((entry.key, entry) for entry in entries)

    async def close(self) -> None:
        self._entries.clear()
