"""Asks a REST API for one page, and reads what it answers."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.incremental.window import Point
from loom_common.domain.json_values.exact_json import dumps
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition, Problem, SourceError, Timeout, UpstreamTroubled
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import SAMPLE, ReadRecord
from loom_connectors.rest.http.address import Address
from loom_connectors.rest.http.answer import Answer, cut
from loom_connectors.rest.http.client import Request, RestClient
from loom_connectors.rest.http.json_path import MISSING, JsonPath
from loom_connectors.rest.http.options import RestSourceOptions
from loom_connectors.rest.http.refusals import refusal
from loom_connectors.rest.http.templates import Values
from loom_connectors.rest.reading.page_records import Document, NoJson, shape_of
from loom_connectors.rest.reading.pagination import Asked

BESIDE_THE_LOOP = 256 * 1024
"""Larger answers are read in a thread, so that the messages of the process go on."""
_NOTHING = frozenset({204, 304, 408})
"""Holds what a server answers that has nothing new."""


class AskedApi:
    """Represents an API that is asked for pages of records."""

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
        self.place = self._address.shown
        self.open_query = [*self._address.query, *values.open_query(options.params)]
        """Holds the parameters of each request that hold no secret."""
        self._options = options
        self.client = RestClient(self._address, options, context.credentials, values, SourceError, context.clock)
        self._records = JsonPath.of(options.records or "")
        self._body = None if options.body is None else values.filled(options.body)
        self._start = _start(options, context.start)

    async def ask(self, asked: Asked) -> tuple[Answer, Document]:
        """Ask for a page. Raises what reaches the server raises, and `SourceError` where it answers with no JSON each
        time."""
        try:
            return await self.client.send(self.request(asked), self._understood)
        except Malformed as malformed:
            raise malformed.lasting from None

    async def ask_for_news(self, asked: Asked) -> tuple[Answer, Document] | None:
        """Ask for what is new since the last answer. Return None where that is nothing, by an answer without a body or
        because none came in time. It is sent once. Raises what reaches the server raises, and `Malformed`."""

        async def understood(answer: Answer) -> tuple[Answer, Document] | None:
            if answer.status in _NOTHING or (200 <= answer.status < 300 and not answer.body.strip()):
                return None
            return await self._understood(answer)

        try:
            return await self.client.send(replace(self.request(asked), once=True), understood)
        except Timeout:
            return None

    async def _understood(self, answer: Answer) -> tuple[Answer, Document]:
        place = self.place
        if (error := refusal(answer, place, "extract", SourceError)) is not None:
            raise error
        if not 200 <= answer.status < 300:
            words = f": {answer.words}" if answer.words else ""
            raise SourceError(
                f"{place}: the server answered {answer.status}{words}. See `extract.source` and its `options`."
            )
        try:
            if len(answer.body) > BESIDE_THE_LOOP:
                return answer, await asyncio.to_thread(Document.of, answer.body)
            return answer, Document.of(answer.body)
        except NoJson as error:
            begin = cut(await self.client.shown(answer.body[:500].decode("utf-8", "replace")))[:60]
            raise Malformed(
                f"{place}: the server answered {answer.status} with no JSON ({error}); it begins with {begin!r}."
            ) from None

    def request(self, asked: Asked) -> Request:
        """Return the request for a page."""
        body = None
        if self._options.method == "POST":
            document = copy.deepcopy(self._body or {})
            for path, value in asked.body:
                JsonPath.of(path).put(document, value)
            body = dumps(document)
        headers = dict(asked.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        most = self._options.max_page_bytes
        is_link = asked.link is not None
        url = self._address.url if asked.link is None else asked.link
        query = [] if is_link else [*self._start, *asked.query]
        return Request(self._options.method, url, query, is_link, headers, body, most)

    def records_in(self, document: Document, name: str) -> list[ReadRecord]:
        """Return the records of an answer, which is called by this name. Raises `SourceError` where it has no list of
        them."""
        found = document.items(self._records)
        if found is None or (found is MISSING and self._options.missing_records == "empty"):
            found = []
        if not isinstance(found, list):
            what = f"`{self._records.written}` names no list" if self._records.steps else "the answer is no list"
            raise SourceError(
                f"{self.place}, {name}: {what}; the answer is {shape_of(document.root)}. Name the list in "
                "`options.records`, e.g. `data.items`."
            )
        return [document.record(item, self.place, f"{name} item {at}") for at, item in enumerate(found, start=1)]

    async def records_beside(self, document: Document, name: str, size: int) -> list[ReadRecord]:
        """Return what `records_in` does, beside the event loop where the answer has many bytes."""
        if size > BESIDE_THE_LOOP:
            return await asyncio.to_thread(self.records_in, document, name)
        return self.records_in(document, name)

    async def close(self) -> None:
        """Close the connections to the API."""
        await self.client.close()


def fields_of(records: Sequence[ReadRecord]) -> Fields | None:
    """Return the fields of these records; None where none of them can be used."""
    good = [record.data for record in records[:SAMPLE] if record.error is None]
    names = tuple(dict.fromkeys(name for data in good for name in data))
    return Fields(names, certain=all(len(data) == len(names) for data in good)) if good else None


class Malformed(UpstreamTroubled):
    """Reports an answer that is no JSON."""

    @property
    def lasting(self) -> SourceError:
        """Return the error of a server that always answers so."""
        return SourceError(f"{self} See the address and `options.method`.")


def _start(options: RestSourceOptions, start: Point | None) -> list[tuple[str, str]]:
    """Return the parameter that carries the mark of incremental extraction."""
    if options.start_param is None or start is None:
        return []
    if start.kind == "number":
        return [(options.start_param, start.text)]
    moment, form = dt.datetime.fromisoformat(start.text), options.start_format
    written = moment.strftime(form) if form is not None else moment.isoformat().replace("+00:00", "Z")
    return [(options.start_param, written)]
