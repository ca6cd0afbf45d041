"""Keeps an index of a source's keys and their first positions. It is on disk, so that memory does not grow with
it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

_CACHE_KIB = 4096
"""The memory per index in KiB. The rest is in an unnamed temporary file that is deleted with the connection."""


class Keyed(NamedTuple):
    """Holds a key and its position."""

    key: str
    position: str


class Place(NamedTuple):
    """Says where a slice stands among those of a run, in the order of the source."""

    partition: int
    slice: int


class SeenKeys:
    """Represents the set of keys of a piece of a source from its start up to `cursor`, where the slice `next` begins.

    It can be rebuilt from the source: adding is idempotent in the source's order. The probability that two of ten
    million keys share a 64-bit hash is three in a million."""

    def __init__(self, first: Place, cursor: Any) -> None:
        self.next = first
        self.cursor = cursor
        self._lock = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE seen (hash INTEGER PRIMARY KEY, position TEXT NOT NULL)")

    def add(self, found: Sequence[Keyed]) -> bool:
        """Add keys in the source's order and keep the first position of equal ones. Returns whether all were new."""
        first: dict[int, str] = {}
        for key, position in found:
            first.setdefault(hash_of(key), position)
        with self._lock:
            self._database.execute("BEGIN")
            added = self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", sorted(first.items()))
            self._database.execute("COMMIT")
        return added.rowcount == len(found)

    def repeated(self, found: Sequence[Keyed]) -> dict[str, str]:
        """Return the keys that occurred before, as their position and the first one."""
        hashes = [hash_of(key) for key, _ in found]
        with self._lock:
            rows = self._database.execute(
                "SELECT hash, position FROM seen WHERE hash IN (SELECT value FROM json_each(?))", (json.dumps(hashes),)
            ).fetchall()
        first: dict[int, str] = dict(rows)
        return {
            position: first[hashed]
            for (_, position), hashed in zip(found, hashes, strict=True)
            if first.get(hashed, position) != position  # a source that changed meanwhile may hold keys never added
        }

    async def close(self) -> None:
        """Delete the index."""
        with self._lock:
            self._database.close()


def hash_of(key: str) -> int:
    """Return the 64-bit number by which a key is kept."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
