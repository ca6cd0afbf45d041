"""Implements a REST API as a `Source`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.values.fields import Fields
from loom_common.errors import SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.rest.http.json_path import JsonPath
from loom_connectors.rest.http.options import NumberedPages, OffsetPages, RestSourceOptions
from loom_connectors.rest.reading.asking import BESIDE_THE_LOOP, AskedApi, fields_of
from loom_connectors.rest.reading.page_records import Document
from loom_connectors.rest.reading.pagination import BadPage, Received, Token, paging
from loom_connectors.rest.reading.place import Circle, Place, hash_of


@dataclass(frozen=True, slots=True)
class _ReadPage:
    """Holds a page, and the place after it."""

    records: Sequence[ReadRecord]
    body: str
    """Holds a hash of the answer."""
    after: Place | None
    """None where no page follows."""
    total: int | None = None


class RestSource:
    """Reads an API page by page. At most one page is kept."""

    def __init__(self, config: ExtractConfig, options: RestSourceOptions, context: ConnectorContext) -> None:
        """Raises `ConfigurationError`."""
        self._options = options
        self._api = AskedApi(config, options, context)
        self._paging = paging(options)
        self._kept: _ReadPage | None = None

    async def check(self) -> None:
        await self._first()

    async def count(self) -> int | None:
        """Return the total that the first page tells."""
        config = self._options.pagination
        if not isinstance(config, NumberedPages | OffsetPages) or config.total_path is None:
            return None
        return (await self._first()).total

    async def fields(self) -> Fields | None:
        """Return the fields of the first page's records."""
        return fields_of((await self._first()).records)

    async def starts_by(self) -> str | None:
        parameter = self._options.start_param
        return None if parameter is None else f"{parameter}=the mark"

    async def read(self, cursor: Any, limit: int) -> Page:
        place = Place.of(cursor)
        records: list[ReadRecord] = []
        while True:
            page = await self._page(place)
            self._kept = page
            end = min(place.skipped + limit - len(records), len(page.records))
            records += page.records[place.skipped : end]
            place = place.within(end, page.body)
            if end < len(page.records):
                return Page(records, place.cursor, end=False)
            if page.after is None:
                return Page(records, place.cursor, end=True)
            place = page.after
            if len(records) >= limit:
                return Page(records, place.cursor, end=False)

    async def close(self) -> None:
        self._kept = None
        await self._api.close()

    async def _first(self) -> _ReadPage:
        """Return the first page, which is asked for once by those who only look at it."""
        if self._kept is None:
            self._kept = await self._page(Place.of(None))
        return self._kept

    async def _page(self, place: Place) -> _ReadPage:
        """Return the page at a place: the answer that was kept, where records of it were read before."""
        if self._kept is not None and place.skipped and self._kept.body == place.body:
            return self._kept
        self._kept = None
        answer, document = await self._api.ask(self._paging.asked(place.token))
        if len(answer.body) > BESIDE_THE_LOOP:
            records, digest = await asyncio.to_thread(self._read, document, place)
        else:
            records, digest = self._read(document, place)
        received = Received(document, len(records), place.seen + len(records), answer.links, answer.headers)
        try:
            token = self._paging.after(place.token, received)
        except BadPage as bad:
            raise SourceError(f"{self._at(place)}: {bad}. See `options.pagination`.") from None
        total = self._total(document)
        after = await self._after(place, token, len(records), digest)
        body = hashlib.sha256(b"%d/" % place.page + answer.body).hexdigest()[:16]
        return _ReadPage(records, body, after, total)

    def _read(self, document: Document, place: Place) -> tuple[list[ReadRecord], str]:
        """Return the records of a page, and a hash of them where the client counts the pages."""
        records = self._api.records_in(document, f"page {place.page}")
        return records, hash_of([record.data for record in records]) if self._paging.counts and records else ""

    async def _after(self, place: Place, token: Token, number: int, digest: str) -> Place | None:
        if digest and digest == place.last:
            raise SourceError(
                f"{self._at(place)} has the same records as the page before it: the server seems not to know the "
                "parameter that asks for a page. See `options.pagination`."
            )
        if token is None:
            return None
        if isinstance(self._paging.asked(token).link, str):
            token = await self._api.client.stored(str(token))
        try:
            return place.next(token, number, digest)
        except Circle:
            raise SourceError(
                f"{self._at(place)}: what follows is a page that was read before, so the pages never end. See "
                "`options.pagination`."
            ) from None

    def _total(self, document: Document) -> int | None:
        path = getattr(self._options.pagination, "total_path", None)
        found = document.find(JsonPath.of(path)) if path is not None else None
        return int(found) if isinstance(found, int | str) else None

    def _at(self, place: Place) -> str:
        return f"{self._api.place}, page {place.page}"
