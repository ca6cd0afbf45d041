"""Implements a REST API as a `Source`."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.incremental.window import Point
from loom_common.domain.json_values.exact_json import dumps
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition, Problem, SourceError, UpstreamTroubled
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import SAMPLE, Page, ReadRecord
from loom_connectors.rest.http.address import Address
from loom_connectors.rest.http.answer import Answer, cut
from loom_connectors.rest.http.client import Request, RestClient
from loom_connectors.rest.http.json_path import MISSING, JsonPath
from loom_connectors.rest.http.options import NumberedPages, OffsetPages, RestSourceOptions
from loom_connectors.rest.http.refusals import refusal
from loom_connectors.rest.http.templates import Values
from loom_connectors.rest.reading.page_records import Document, NoJson, shape_of
from loom_connectors.rest.reading.pagination import Asked, BadPage, Received, Token, paging
from loom_connectors.rest.reading.place import Circle, Place, hash_of

_BESIDE_THE_LOOP = 256 * 1024
"""Larger answers are read in a thread, so that the messages of the process go on."""


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
        if config.query is not None:
            raise InvalidDefinition(
                [
                    Problem(
                        ("extract", "query"), "a query", "none for a REST API: see `options.params` and `options.body`"
                    )
                ]
            )
        if options.start_param is not None and config.incremental is None:
            words = "`extract.incremental`, whose mark it carries"
            raise InvalidDefinition([Problem(("extract", "options", "start_param"), repr(options.start_param), words)])
        values = Values(context.params, context.credentials, "extract")
        self._address = Address.of(config.source, context.credentials, "extract.source")
        self._options = options
        self._client = RestClient(self._address, options, context.credentials, values, SourceError, context.clock)
        self._paging = paging(options)
        self._records = JsonPath.of(options.records or "")
        self._body = None if options.body is None else values.filled(options.body)
        self._start = _start(options, context.start)
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
        page = await self._first()
        good = [record.data for record in page.records[:SAMPLE] if record.error is None]
        names = tuple(dict.fromkeys(name for data in good for name in data))
        return Fields(names, certain=all(len(data) == len(names) for data in good)) if good else None

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
        await self._client.close()

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
        answer, document = await self._document(self._paging.asked(place.token))
        if len(answer.body) > _BESIDE_THE_LOOP:
            records, digest = await asyncio.to_thread(self._read, document, place)
        else:
            records, digest = self._read(document, place)
        received = Received(document, len(records), place.seen + len(records), answer.links)
        try:
            token = self._paging.after(place.token, received)
        except BadPage as bad:
            raise SourceError(f"{self._at(place)}: {bad}. See `options.pagination`.") from None
        total = self._total(document)
        after = await self._after(place, token, len(records), digest)
        body = hashlib.sha256(b"%d/" % place.page + answer.body).hexdigest()[:16]
        return _ReadPage(records, body, after, total)

    async def _document(self, asked: Asked) -> tuple[Answer, Document]:
        """Ask for a page. Raises what reaches the server raises, and `SourceError` where it answers with no JSON each
        time."""
        try:
            return await self._client.send(self._request(asked), self._understood)
        except _Malformed as malformed:
            raise SourceError(f"{malformed} See the address and `options.method`.") from None

    async def _understood(self, answer: Answer) -> tuple[Answer, Document]:
        place = self._address.shown
        if (error := refusal(answer, place, "extract", SourceError)) is not None:
            raise error
        if not 200 <= answer.status < 300:
            words = f": {answer.words}" if answer.words else ""
            raise SourceError(
                f"{place}: the server answered {answer.status}{words}. See `extract.source` and its `options`."
            )
        try:
            if len(answer.body) > _BESIDE_THE_LOOP:
                return answer, await asyncio.to_thread(Document.of, answer.body)
            return answer, Document.of(answer.body)
        except NoJson as error:
            begin = cut(await self._client.shown(answer.body[:500].decode("utf-8", "replace")))[:60]
            raise _Malformed(
                f"{place}: the server answered {answer.status} with no JSON ({error}); it begins with {begin!r}."
            ) from None

    def _request(self, asked: Asked) -> Request:
        body = None
        if self._options.method == "POST":
            document = copy.deepcopy(self._body or {})
            for path, value in asked.body:
                JsonPath.of(path).put(document, value)
            body = dumps(document)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        most = self._options.max_page_bytes
        is_link = asked.link is not None
        url = self._address.url if asked.link is None else asked.link
        query = [] if is_link else [*self._start, *asked.query]
        return Request(self._options.method, url, query, is_link, headers, body, most)

    def _read(self, document: Document, place: Place) -> tuple[list[ReadRecord], str]:
        """Return the records of a page, and a hash of them where the client counts the pages."""
        found = document.items(self._records)
        if found is None or (found is MISSING and self._options.missing_records == "empty"):
            found = []
        if not isinstance(found, list):
            what = f"`{self._records.written}` names no list" if self._records.steps else "the answer is no list"
            raise SourceError(
                f"{self._at(place)}: {what}; the answer is {shape_of(document.root)}. Name the list in "
                "`options.records`, e.g. `data.items`."
            )
        records = [
            document.record(item, self._address.shown, f"page {place.page} item {at}")
            for at, item in enumerate(found, start=1)
        ]
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
            token = await self._client.stored(str(token))
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
        return f"{self._address.shown}, page {place.page}"


class _Malformed(UpstreamTroubled):
    """Reports an answer that is no JSON."""


def _start(options: RestSourceOptions, start: Point | None) -> list[tuple[str, str]]:
    """Return the parameter that carries the mark of incremental extraction."""
    if options.start_param is None or start is None:
        return []
    if start.kind == "number":
        return [(options.start_param, start.text)]
    moment, form = dt.datetime.fromisoformat(start.text), options.start_format
    written = moment.strftime(form) if form is not None else moment.isoformat().replace("+00:00", "Z")
    return [(options.start_param, written)]
