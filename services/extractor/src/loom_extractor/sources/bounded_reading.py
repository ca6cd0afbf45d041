"""Reads the records of a slice up to a number of bytes, and not only up to a number of records, and gives each its id.

A source only knows how many records it is asked for, so it is asked for as many as are expected to have few bytes, by
the size of those that were read of it before. Where a slice ends does not depend on that: it ends before the first
record that makes it larger than the bound, whichever replica reads it and however often, and however much of it was
read ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cachetools import LRUCache

from loom_common.domain.record_bytes import bytes_of, fitting
from loom_common.worker.slices import SliceRecord
from loom_connectors import pieces
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_extractor.identity import Identified
from loom_extractor.sources.received import RunsReceivedRecords

_FIRST = 100
"""The number of records that are read at once of a source of which none was read yet."""
_SHARE = 4
"""What is read at once is expected to have this part of a slice's bytes, so that little is read beyond its end."""
Identify = Callable[[Sequence[ReadRecord]], Identified]
"""Gives records their ids, in their order."""


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


class IdentifiedPage(NamedTuple):
    """Holds a page as it was read, its records with their ids, and their bytes."""

    page: Page
    records: list[SliceRecord]
    size: int


@dataclass(slots=True)
class PagesAhead:
    """Holds the pages of a slice that were read before it was asked for, in their order."""

    cursor: Any = None
    """Says where the next of the pages begins."""
    pages: Sequence[IdentifiedPage] = ()
    error: Exception | None = None
    """Says what went wrong when the page after these was read."""

    def next(self, cursor: Any, limit: int) -> IdentifiedPage | None:
        """Return the page that begins at `cursor`; None where it was not read ahead, or holds more than `limit`
        records. Raises what was raised when it was read."""
        if self.cursor != cursor:
            return None
        if not self.pages:
            if self.error is not None:
                raise self.error
            return None
        found, *rest = self.pages
        if len(found.page.records) > limit:
            return None
        self.cursor, self.pages = found.page.cursor, rest
        return found


class BoundedReading:
    """Reads the records of one slice, of at most so many bytes."""

    def __init__(
        self,
        sizes: RecordSizes,
        plan: str,
        most_bytes: int,
        identify: Identify,
        ahead: PagesAhead | None = None,
    ) -> None:
        """`ahead` holds what was read of the slice already."""
        self._sizes = sizes
        self._plan = plan
        self._most = most_bytes
        self._identify = identify
        self._ahead = ahead or PagesAhead()

    @property
    def at_once(self) -> int:
        """Return how many records are read at once."""
        return self._sizes.at_once(self._plan, self._most)

    async def read(self, source: Source, cursor: Any, limit: int, until: Any) -> IdentifiedPage:
        """Read at most `limit` records from `cursor`, as `pieces.read` does, and fewer where they have more bytes than
        a slice may have. One record is read, however large it is."""
        read: list[ReadRecord] = []
        records: list[SliceRecord] = []
        size = known = 0
        while True:
            page, identified, more = await self.page(source, cursor, limit - len(read), until)
            is_over = size + more > self._most
            if is_over:
                data = [each.data for each in page.records]
                fit = fitting(data, self._most - size) or (0 if read else 1)
                if fit < len(data):
                    identified = identified[:fit]
                    if fit:
                        page, more = await pieces.read(source, cursor, fit, until), bytes_of(data[:fit])
                    else:
                        page, more = Page((), cursor, end=False), 0
            size, known = size + more, known + page.known
            read += page.records
            records += identified
            cursor = page.cursor
            if page.end or is_over or not page.records or len(read) >= limit or _is_kept_page(source):
                return IdentifiedPage(Page(read, cursor, page.end, known), records, size)

    async def page(self, source: Source, cursor: Any, limit: int, until: Any) -> IdentifiedPage:
        """Read at most `limit` records from `cursor`, as many as are read at once, or take those that were read
        ahead."""
        if (found := self._ahead.next(cursor, limit)) is not None:
            return found
        most = limit if _is_kept_page(source) else min(limit, self.at_once)
        page = await pieces.read(source, cursor, most, until)
        records, size = self._identify(page.records)
        self._sizes.learn(self._plan, len(records), size)
        return IdentifiedPage(page, records, size)


def _is_kept_page(source: Source) -> bool:
    """Tell whether what is read is what was received at once and kept: a slice of it goes no further, because nobody
    knows whether anything more will have been received when it is read again."""
    return isinstance(source, RunsReceivedRecords)
