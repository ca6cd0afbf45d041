"""Finds the newest version of each row that an incremental run takes from a source that holds rows in several
versions, as files do: a row that changed stands in them again.

A change is no duplicate. Of the versions of a row a run takes the newest, and leaves out the older ones, so that none
of them can be loaded after it. The result depends on the source and the run's mark alone: before the first slice the
keys of the whole piece are read, whichever replica reads it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.incremental.window import Point
from loom_common.domain.run.piece import Piece
from loom_common.worker.slices import SliceRecord
from loom_connectors import pieces
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_extractor.identity import duplicate, identified
from loom_extractor.seen_keys import hash_of

PointOf = Callable[[SliceRecord], Point | None]
"""Returns the value of the column of a record that the run takes; None for one that it leaves out, or that has an
error."""
_READ_AT_ONCE = 1000
_CACHE_KIB = 4096


class _Version(NamedTuple):
    order: Decimal
    position: str


class _Newest:
    """Represents an index of the newest version of each key of a piece. It is on disk, so that memory does not grow
    with it."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.complete = False
        self.lock = asyncio.Lock()
        self._lock = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("CREATE TABLE newest (hash INTEGER PRIMARY KEY, value TEXT NOT NULL, position TEXT)")

    def add(self, found: Sequence[tuple[int, _Version]]) -> None:
        """Keep the version with the greatest value of each key, and the first of those that have it."""
        newest: dict[int, _Version] = {}
        with self._lock:
            known = self._known([hashed for hashed, _ in found])
            for hashed, version in found:
                other = newest.get(hashed) or known.get(hashed)
                if other is None or version.order > other.order:
                    newest[hashed] = version
            rows = [(hashed, str(each.order), each.position) for hashed, each in sorted(newest.items())]
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", rows)
            self._database.execute("COMMIT")

    def of(self, hashes: Sequence[int]) -> dict[int, _Version]:
        with self._lock:
            return self._known(hashes)

    def _known(self, hashes: Sequence[int]) -> dict[int, _Version]:
        rows = self._database.execute(
            "SELECT hash, value, position FROM newest WHERE hash IN (SELECT value FROM json_each(?))",
            (json.dumps(hashes),),
        )
        return {hashed: _Version(Decimal(value), position) for hashed, value, position in rows}

    async def close(self) -> None:
        """Delete the index."""
        with self._lock:
            self._database.close()


class Versions:
    """Keeps the indexes of the last few runs. An older one is dropped and rebuilt when it is needed."""

    def __init__(self, runs: int = 8) -> None:
        self._indexes: ResourceCache[_Newest] = ResourceCache(runs)
        self.closing = self._indexes.closing

    async def newest(
        self,
        request: ExtractSlice,
        source: Source,
        page: Page,
        records: Sequence[SliceRecord],
        keys: Sequence[str],
        point_of: PointOf,
        at_once: int = _READ_AT_ONCE,
    ) -> list[SliceRecord]:
        """Return the records of `page` without those of which the source holds a newer version. One that has the same
        value as an earlier one is a duplicate of it. At most `at_once` records are read at a time. Raises what
        `source.read` raises."""
        points = [point_of(record) for record in records]
        whole = request.piece is None or not request.piece.whole_keys
        piece = Piece() if request.piece is None or whole else request.piece
        name = request.run_id if whole else f"{request.run_id}/{request.partition}"
        async with self._indexes.of(name, lambda: _Newest(piece)) as index, index.lock:
            if not index.complete:
                if page.end and request.cursor == piece.start:
                    await asyncio.to_thread(index.add, _versions(page.records, keys, point_of))
                else:
                    await _read_all(index, source, keys, point_of, min(at_once, _READ_AT_ONCE))
                index.complete = True
            newest = await asyncio.to_thread(
                index.of, [hash_of(record.id) for record, point in zip(records, points, strict=True) if point]
            )
        kept: list[SliceRecord] = []
        for read, record, point in zip(page.records, records, points, strict=True):
            best = None if point is None else newest.get(hash_of(record.id))
            if point is None or best is None or best.position == read.position:
                kept.append(record)
            elif point.order >= best.order:
                kept.append(duplicate(record, read.position, best.position))
        return kept


async def _read_all(index: _Newest, source: Source, keys: Sequence[str], point_of: PointOf, at_once: int) -> None:
    cursor, end = index.piece.start, False
    while not end:
        page = await pieces.read(source, cursor, at_once, index.piece.until)
        await asyncio.to_thread(index.add, _versions(page.records, keys, point_of))
        cursor, end = page.cursor, page.end


def _versions(read: Sequence[ReadRecord], keys: Sequence[str], point_of: PointOf) -> list[tuple[int, _Version]]:
    found: list[tuple[int, _Version]] = []
    for each in read:
        record = identified(each, keys)
        if (point := point_of(record)) is not None:
            found.append((hash_of(record.id), _Version(point.order, each.position)))
    return found
