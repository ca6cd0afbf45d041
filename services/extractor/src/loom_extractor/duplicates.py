"""Finds duplicate keys: a record is a duplicate if and only if its key occurred earlier in the source, among those
records that the run takes.

The result depends on the source alone, and not on what this replica has extracted: before a slice beyond the indexed
part, the keys up to it are read, in the partitions before its own, too. Several replicas, a crash and a repeated slice
therefore give the same result. Where the records of a key are always in one piece of the source, the keys of the piece
are enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import takewhile

from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.run.piece import Piece
from loom_common.errors import RecordError
from loom_common.worker.slices import SliceRecord
from loom_connectors import pieces
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_extractor.identity import duplicate, identified, repeated
from loom_extractor.seen_keys import Keyed, Place, SeenKeys

Takes = Callable[[SliceRecord], bool]
"""Tells whether a run takes a record."""
_CATCH_UP = 1000
"""Holds the records read at once on the way to a slice, or as many as the slice has if that is more; fewer where these
are large."""


class _Index:
    """Represents the index of the keys of a piece, which one slice at a time uses."""

    def __init__(self, partition: int, piece: Piece) -> None:
        self.piece = piece
        self.seen = SeenKeys(Place(partition, 0), piece.start)
        self.lock = asyncio.Lock()

    async def close(self) -> None:
        await self.seen.close()


class Duplicates:
    """Keeps the indexes of the last few runs. An older one is dropped and rebuilt when it is needed."""

    def __init__(self, runs: int = 8) -> None:
        self._indexes: ResourceCache[_Index] = ResourceCache(runs)
        self.closing = self._indexes.closing

    async def marked(
        self,
        request: ExtractSlice,
        source: Source,
        page: Page,
        records: Sequence[SliceRecord],
        keys: Sequence[str],
        at_once: int = _CATCH_UP,
        *,
        endless: bool = False,
        takes: Takes = lambda _: True,
    ) -> list[SliceRecord]:
        """Return the records of `page` with duplicates marked as errors. Only those that the run `takes` can be one, or
        have one: what an incremental run leaves out was read by an earlier run. In a window of an `endless` stream a
        key that comes again is news of the same thing: such a record goes on, under an id of its own. On the way to the
        page at most `at_once` records are read at a time. Raises what `source.read` raises."""
        found = _keyed(page.records, records, takes)
        if not found:
            return list(records)
        name, make = _index_for(request)
        async with self._indexes.of(name, make) as index, index.lock:
            first = await _first_positions(index, request, source, page, found, keys, at_once, takes)
        if endless:
            return [
                repeated(record, read.position) if record.error is None and read.position in first else record
                for read, record in zip(page.records, records, strict=True)
            ]
        return [
            duplicate(record, read.position, first[read.position])
            if record.error is None and read.position in first
            else record
            for read, record in zip(page.records, records, strict=True)
        ]


def _index_for(request: ExtractSlice) -> tuple[str, Callable[[], _Index]]:
    """Return the name of the index that a slice needs, and what makes it. All partitions of a run share one, unless the
    records of a key are always in one piece of the source."""
    if request.piece is not None and request.piece.whole_keys:
        partition, piece = request.partition, request.piece
        return f"{request.run_id}/{partition}", lambda: _Index(partition, piece)
    return request.run_id, lambda: _Index(0, Piece())


async def _first_positions(
    index: _Index,
    request: ExtractSlice,
    source: Source,
    page: Page,
    found: Sequence[Keyed],
    keys: Sequence[str],
    at_once: int,
    takes: Takes,
) -> dict[str, str]:
    """Return, for each record whose key occurred before, its position and that of the first occurrence."""
    seen, place = index.seen, Place(request.partition, request.slice)
    if place >= seen.next:
        if place > seen.next:
            await _catch_up(index, source, page, keys, at_once, takes)
        all_new = await asyncio.to_thread(seen.add, found)
        seen.next, seen.cursor = Place(place.partition, place.slice + 1), page.cursor
        if all_new:
            return {}
    return await asyncio.to_thread(seen.repeated, found)


async def _catch_up(index: _Index, source: Source, page: Page, keys: Sequence[str], at_once: int, takes: Takes) -> None:
    """Index the keys between the indexed part and `page`.

    Pages may be cut differently from the slices. The position of the page's first record, which is the same at every
    reading, marks the end."""
    seen, until = index.seen, page.records[0].position
    while True:
        limit = min(max(_CATCH_UP, len(page.records)), at_once)
        passed = await pieces.read(source, seen.cursor, limit, index.piece.until)
        before = list(takewhile(lambda record: record.position != until, passed.records))
        await asyncio.to_thread(seen.add, _keyed(before, [identified(record, keys) for record in before], takes))
        if len(before) < len(passed.records) or passed.end:
            return
        seen.cursor = passed.cursor


async def positions_of(wanted: Collection[str], source: Source, keys: Sequence[str]) -> dict[str, str]:
    """Return the positions of those keys that the source has. Raises what `source.read` raises."""
    found: dict[str, str] = {}
    cursor, end = None, not wanted
    while not end and len(found) < len(wanted):
        page = await source.read(cursor, _CATCH_UP)
        for key, position in _keyed(page.records, [identified(record, keys) for record in page.records]):
            if key in wanted:
                found.setdefault(key, position)
        cursor, end = page.cursor, page.end
    return found


def taken_keys(positions: Mapping[str, str], records: Mapping[str, str]) -> dict[str, RecordError]:
    """Return an error, by record id, for each record whose key the source has. `records` holds ids by key."""
    return {
        records[key]: RecordError(
            f"The key {key} stands in the source at {position}; a key identifies one record.",
            code="duplicate_key",
            details={"key": key, "first": position},
        )
        for key, position in positions.items()
    }


def _keyed(read: Sequence[ReadRecord], records: Sequence[SliceRecord], takes: Takes = lambda _: True) -> list[Keyed]:
    return [
        Keyed(record.id, each.position)
        for each, record in zip(read, records, strict=True)
        if record.error is None and takes(record)
    ]
