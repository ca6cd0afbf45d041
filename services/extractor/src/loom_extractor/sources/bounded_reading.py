"""Reads the records of a slice up to a number of bytes, and not only up to a number of records.

A source only knows how many records it is asked for, so it is asked for as many as are expected to have few bytes, by
the size of those that were read of it before. Where a slice ends does not depend on that: it ends before the first
record that makes it larger than the bound, whichever replica reads it and however often."""

from __future__ import annotations

from typing import Any

from cachetools import LRUCache

from loom_common.domain.record_bytes import bytes_of, fitting
from loom_connectors import pieces
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_extractor.sources.received import RunsReceivedRecords

_FIRST = 100
"""The number of records that are read at once of a source of which none was read yet."""
_SHARE = 4
"""What is read at once is expected to have this part of a slice's bytes, so that little is read beyond its end."""


class RecordSizes:
    """Remembers how large the records of the last sources were that were read. That only decides how many are read at
    once."""

    def __init__(self, sources: int = 256) -> None:
        self._bytes_each: LRUCache[str, float] = LRUCache(sources)

    def at_once(self, plan: str, most_bytes: int) -> int:
        """Return how many records of the source of a plan have a small part of so many bytes."""
        each = self._bytes_each.get(plan)
        return _FIRST if each is None else max(1, int(most_bytes / _SHARE / each))

    def learn(self, plan: str, records: int, size: int) -> None:
        """Take note of how large the last records of a source were."""
        if records:
            self._bytes_each[plan] = size / records


class BoundedReading:
    """Reads the records of one slice, of at most so many bytes."""

    def __init__(self, sizes: RecordSizes, plan: str, most_bytes: int) -> None:
        self._sizes = sizes
        self._plan = plan
        self._most = most_bytes

    @property
    def at_once(self) -> int:
        """Return how many records are read at once."""
        return self._sizes.at_once(self._plan, self._most)

    async def read(self, source: Source, cursor: Any, limit: int, until: Any) -> tuple[Page, int]:
        """Read at most `limit` records from `cursor`, as `pieces.read` does, and fewer where they have more bytes than
        a slice may have. Return them, and their bytes. One record is read, however large it is."""
        records: list[ReadRecord] = []
        size = known = 0
        while True:
            page = await self._page(source, cursor, limit - len(records), until)
            data = [each.data for each in page.records]
            more = bytes_of(data)
            self._sizes.learn(self._plan, len(data), more)
            is_over = size + more > self._most
            if is_over:
                fit = fitting(data, self._most - size) or (0 if records else 1)
                if fit < len(data):
                    if fit:
                        page, more = await pieces.read(source, cursor, fit, until), bytes_of(data[:fit])
                    else:
                        page, more = Page((), cursor, end=False), 0
            size, known = size + more, known + page.known
            records += page.records
            cursor = page.cursor
            if page.end or is_over or not page.records or len(records) >= limit or _is_kept_page(source):
                return Page(records, cursor, page.end, known), size

    async def _page(self, source: Source, cursor: Any, limit: int, until: Any) -> Page:
        most = limit if _is_kept_page(source) else min(limit, self.at_once)
        return await pieces.read(source, cursor, most, until)


def _is_kept_page(source: Source) -> bool:
    """Tell whether what is read is what was received at once and kept: a slice of it goes no further, because nobody
    knows whether anything more will have been received when it is read again."""
    return isinstance(source, RunsReceivedRecords)
