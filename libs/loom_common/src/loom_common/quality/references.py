"""Keeps the values of another source on disk, so that memory does not grow with them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from typing import Any

from loom_common.caching.resource_cache import ResourceCache
from loom_common.domain.quality.bounds import has_value
from loom_common.domain.quality.kinds import Reference
from loom_common.domain.run.plan import Plan

ReadColumn = Callable[[Plan, Reference], AsyncIterator[Sequence[Any]]]
"""Reads the values of a check's field from its other source, some at a time."""

_CACHE_KIB = 4096
"""The memory per index in KiB. The rest is in an unnamed temporary file that is deleted with the connection."""


class _Index:
    """Holds the values of one source. Values are compared by their text, so that `1` is `"1"`."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.whole = False
        self._guard = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE present (digest TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, values: Iterable[Any]) -> None:
        with self._guard:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT OR IGNORE INTO present VALUES (?)", [(digest_of(each),) for each in values if has_value(each)]
            )
            self._database.execute("COMMIT")

    def present(self, digests: Collection[str]) -> set[str]:
        with self._guard:
            rows = self._database.execute(
                "SELECT digest FROM present WHERE digest IN (SELECT value FROM json_each(?))",
                (json.dumps(list(digests)),),
            )
            return {digest for (digest,) in rows}

    async def close(self) -> None:
        with self._guard:
            self._database.close()


class References:
    """Keeps the values of the other sources that the checks of the last few runs name."""

    def __init__(self, read: ReadColumn, kept: int = 8) -> None:
        self._read = read
        self._indexes: ResourceCache[_Index] = ResourceCache(kept)
        self.closing = self._indexes.closing

    async def missing(self, run_id: str, name: str, plan: Plan, check: Reference, values: Sequence[Any]) -> list[bool]:
        """Tell of each value whether it is missing from the other source, as this process read it when the run first
        asked. Raises what reading the source raises."""
        async with self._indexes.of(f"{run_id}/{name}", _Index) as index:
            async with index.lock:
                if not index.whole:
                    async for some in self._read(plan, check):
                        await asyncio.to_thread(index.add, some)
                    index.whole = True
            digests = [digest_of(each) if has_value(each) else None for each in values]
            wanted = {each for each in digests if each is not None}
            present = await asyncio.to_thread(index.present, wanted)
        return [each is not None and each not in present for each in digests]


def digest_of(value: Any) -> str:
    """Return the hash of a value's text, 32 hexadecimal digits."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
