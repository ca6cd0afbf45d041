"""Looks records up in a REST API: a request for each key, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from loom_common.domain.steps.lookups import filled_in, named_in
from loom_common.errors import AccessRefused, InvalidDefinition, LookupFailed, Problem, RecordError, UpstreamTroubled
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.lookup import SEVERAL, UNFIT_KEY, Found, Key
from loom_connectors.rest.http.address import Address
from loom_connectors.rest.http.answer import Answer
from loom_connectors.rest.http.client import Request, RestClient
from loom_connectors.rest.http.json_path import MISSING, JsonPath, NoPath
from loom_connectors.rest.http.options import RestLookupOptions
from loom_connectors.rest.http.refusals import refusal
from loom_connectors.rest.http.templates import Values
from loom_connectors.rest.reading.page_records import Document, NoJson, shape_of
from loom_connectors.sql.parameters import listed

_NOT_THERE = frozenset({404, 410})
REFUSED = "lookup_refused"
UNREADABLE = "lookup_answer"


class RestLookup:
    """Asks an API about each key."""

    def __init__(
        self,
        url: str,
        record: str | None,
        wanted: Mapping[str, str],
        options: RestLookupOptions,
        context: ConnectorContext,
    ) -> None:
        """`wanted` holds by the name of each new field its path in the answer. Raises `ConfigurationError`."""
        self._options = options
        address = Address.of(url, context.credentials, "transform.url")
        self._address = replace(address, query=[pair for pair in address.query if not named_in(pair[1])])
        self._asked_query = [pair for pair in address.query if named_in(pair[1])]
        self._fields = named_in(url)
        self._record = _path("record", record or "")
        self._wanted = {name: _path("fields", path) for name, path in wanted.items()}
        values = Values(context.params, context.credentials, "transform")
        self._client = RestClient(self._address, options, context.credentials, values, LookupFailed, context.clock)
        self._turns = asyncio.Semaphore(options.concurrency)

    @property
    def shown(self) -> str:
        return self._address.shown

    async def check(self) -> None:
        """Reach the server, with the credentials. What it answers about a record is known only when one is asked
        for."""

        async def read(answer: Answer) -> None:
            error = refusal(answer, self.shown, "transform", LookupFailed)
            if error is not None and not isinstance(error, AccessRefused):
                raise error

        await self._client.send(Request("OPTIONS", self._address.url.partition("{{")[0]), read)

    async def find(self, keys: Sequence[Key]) -> Sequence[Found]:
        tasks = [asyncio.ensure_future(self._one(key)) for key in keys]
        try:
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def close(self) -> None:
        await self._client.close()

    async def _one(self, key: Key) -> Found:
        texts = dict(zip(self._fields, map(_text, key), strict=True))
        if strange := [name for name, text in texts.items() if text in ("", ".", "..")]:
            words = f"the field '{strange[0]}' holds no value that can stand in the address {self.shown}"
            return RecordError(words, code=UNFIT_KEY)
        url = filled_in(self._address.url, {name: quote(text, safe="") for name, text in texts.items()})
        query = [(name, filled_in(value, texts)) for name, value in self._asked_query]
        request = Request("GET", url, query, most_bytes=self._options.max_answer_bytes)
        async with self._turns:
            try:
                return await self._client.send(request, self._read)
            except _Malformed as malformed:
                raise LookupFailed(str(malformed)) from None

    async def _read(self, answer: Answer) -> Found:
        """Return what an answer tells of a record. Raises for what is about the run or the moment."""
        if (error := refusal(answer, self.shown, "transform", LookupFailed)) is not None:
            raise error
        if answer.status in _NOT_THERE or answer.status == 204:
            return None
        if not 200 <= answer.status < 300:
            words = f"{self.shown}: the server answered {answer.status}{f': {answer.words}' if answer.words else ''}"
            return RecordError(await self._client.shown(words), code=REFUSED)
        try:
            document = Document.of(answer.body)
        except NoJson as error:
            raise _Malformed(f"{self.shown}: the server answered {answer.status} with no JSON ({error}).") from None
        item = document.items(self._record)
        if isinstance(item, list) and len(item) > 1:
            words = f"{self.shown} has more than one record for the record's {listed(self._fields)}"
            return RecordError(f"{words}: ask by what tells records apart, or name one in `record`", code=SEVERAL)
        item = item[0] if isinstance(item, list) and item else item
        if item is MISSING or item is None or item == []:
            return None
        return self._found(document, item)

    def _found(self, document: Document, item: Any) -> Found:
        record = document.record(item, self.shown, "its answer")
        if record.error is not None:
            return RecordError(str(record.error), code=record.error.code)
        found = {name: path.find(record.data) for name, path in self._wanted.items()}
        if all(value is MISSING for value in found.values()):
            paths = listed([path.written for path in self._wanted.values()])
            words = f"{self.shown}: the answer has none of {paths}; it is {shape_of(record.data)}"
            return RecordError(words, code=UNREADABLE)
        return {name: None if value is MISSING else value for name, value in found.items()}


class _Malformed(UpstreamTroubled):
    """Reports an answer that is no JSON."""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _path(key: str, written: str) -> JsonPath:
    try:
        return JsonPath.of(written)
    except NoPath as error:
        raise InvalidDefinition([Problem(("transform", key), repr(written), str(error))]) from None
