"""Implements a REST API as a `Destination`: each request carries a key by which the server may know it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.plural import counted
from loom_common.errors import AccessRefused, DestinationError, InvalidDefinition, Problem, UpstreamTroubled
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadBatch, LoadResult, Row
from loom_connectors.rest.http.address import Address
from loom_connectors.rest.http.answer import Answer, words_in
from loom_connectors.rest.http.client import Request, RestClient
from loom_connectors.rest.http.json_path import JsonPath
from loom_connectors.rest.http.options import ItemResults, RestDestinationOptions
from loom_connectors.rest.http.refusals import refusal
from loom_connectors.rest.http.templates import Values
from loom_connectors.rest.loading.requests import NoAddress, RowsRequest, addressed, fields_of_path, requests_of
from loom_connectors.rest.reading.page_records import Document, NoJson

_WRONG_ADDRESS = frozenset({404, 405, 410, 415, 501})
"""Statuses that every other record would get, too."""
REFUSED = "refused"


class _Reader:
    """Reads the answers to one request. The server may still be at work on an earlier try of it, which it tells with
    409, so the request is sent twice more before that counts as a refusal."""

    def __init__(self, read: Callable[[Answer], Answer], has_key: bool) -> None:  # noqa: FBT001 - has one caller
        self._read = read
        self._left = 2 if has_key else 0

    async def read(self, answer: Answer) -> Answer:
        if answer.status == 409 and self._left:
            self._left -= 1
            raise UpstreamTroubled("The server is at work on this request.", retry_after=answer.pause)
        return self._read(answer)


class RestDestination:
    """Sends rows, one or several in a request."""

    def __init__(self, config: LoadConfig, options: RestDestinationOptions, context: ConnectorContext) -> None:
        """Raises `ConfigurationError`."""
        self._address = Address.of(config.destination, context.credentials, "load.destination")
        self._named = fields_of_path(self._address.url)
        self._options = options
        self._mode = config.mode or ("append" if options.method == "POST" else "upsert")
        _see_options(config, options, self._named)
        values = Values(context.params, context.credentials, "load")
        self._client = RestClient(self._address, options, context.credentials, values, DestinationError, context.clock)

    @property
    def guarantee(self) -> Guarantee:
        if self._options.method == "PUT" and self._named:
            return Guarantee.UPSERT
        return Guarantee.AT_LEAST_ONCE if self._options.idempotency_key is None else Guarantee.IDEMPOTENCY_KEY

    @property
    def effect(self) -> str:
        if self.guarantee is Guarantee.UPSERT:
            return f"mode {self._mode}: a later run overwrites the resource of a row that it loads again"
        return f"mode {self._mode}: what a later run makes of these rows, the server decides"

    @property
    def stages(self) -> bool:
        return False

    @property
    def location(self) -> str:
        return self._address.shown

    async def check(self) -> None:
        """Reach the server, with the credentials. Whether it takes records is known only when one is sent."""

        async def read(answer: Answer) -> None:
            error = refusal(answer, self.location, "load", DestinationError)
            if error is not None and not (isinstance(error, AccessRefused) and answer.status == 403):
                raise error

        url = self._address.url.partition("{")[0] if self._named else self._address.url
        await self._client.send(Request("OPTIONS", url), read)

    async def load(self, batch: LoadBatch) -> LoadResult:
        requests = requests_of(batch.threads_in_order, self._options.at_once)
        turns = asyncio.Semaphore(self._options.concurrency)

        async def sent(request: RowsRequest) -> list[FailedRow]:
            async with turns:
                return await self._sent(request)

        tasks = [asyncio.ensure_future(sent(request)) for request in requests]
        try:
            failed = [row for found in await asyncio.gather(*tasks) for row in found]
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return LoadResult(len(batch.rows) - len(failed), tuple(failed))

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """Do nothing: the server shows records as soon as it has them."""
        return True

    async def drop(self, run_id: str) -> bool:
        """Do nothing: nothing is staged."""
        return True

    async def close(self) -> None:
        await self._client.close()

    async def _sent(self, request: RowsRequest) -> list[FailedRow]:
        """Send a request, and return the rows that were refused. Where a list is refused as a whole, its rows are sent
        one by one, to find which of them are at fault."""
        try:
            url = addressed(self._address.url, request.rows[0]) if self._named else self._address.url
        except NoAddress as error:
            return [FailedRow(request.rows[0].record_id, "no_address", f"{self.location}: {error}")]
        body = request.body(self._options)
        headers = {"Content-Type": "application/json"}
        if self._options.idempotency_key is not None:
            headers[self._options.idempotency_key] = request.key
        reader = _Reader(self._read, self._options.idempotency_key is not None)
        answer = await self._client.send(Request(self._options.method, url, headers=headers, body=body), reader.read)
        if 200 <= answer.status < 300:
            return await self._item_refusals(request, answer)
        if len(request.rows) == 1:
            return [FailedRow(request.rows[0].record_id, REFUSED, self._reason(answer))]
        return [row for single in request.singles() for row in await self._sent(single)]

    def _read(self, answer: Answer) -> Answer:
        """Return an answer that is about the rows. Raises for what is about the run or the moment."""
        if (error := refusal(answer, self.location, "load", DestinationError)) is not None:
            raise error
        if answer.status in _WRONG_ADDRESS and not (self._named and answer.status in (404, 410)):
            raise DestinationError(f"{self._reason(answer)} See `load.destination` and `options.method`.")
        return answer

    def _reason(self, answer: Answer) -> str:
        return f"{self.location}: the server answered {answer.status}{f': {answer.words}' if answer.words else ''}."

    async def _item_refusals(self, request: RowsRequest, answer: Answer) -> list[FailedRow]:
        """Return the rows that an answer to a list says were refused."""
        config = self._options.results
        if config is None:
            if answer.status == 207:
                raise DestinationError(
                    f"{self.location}: the server answered 207, so each record has an answer of its own. Say where: "
                    "`options: {results: {records: results, status: status, reason: error}}`."
                )
            return []
        try:
            items = Document.of(answer.body).find(JsonPath.of(config.records))
        except NoJson:
            items = None
        if not isinstance(items, list) or len(items) != len(request.rows):
            raise DestinationError(
                f"{self.location}: {counted(len(request.rows), 'record')} were sent, and `{config.records}` of the "
                "answer is no list with as many items. See `options.results`."
            )
        failed = [_failed(row, item, config) for row, item in zip(request.rows, items, strict=True)]
        return [replace(each, reason=await self._client.shown(each.reason)) for each in failed if each is not None]


def _failed(row: Row, item: Any, config: ItemResults) -> FailedRow | None:
    status = JsonPath.of(config.status).find(item)
    number = int(status) if isinstance(status, int | str) and str(status).isdigit() else None
    if number is not None and 200 <= number < 300:
        return None
    reason = words_in(JsonPath.of(config.reason).find(item)) or "the server gave no reason"
    return FailedRow(row.record_id, REFUSED, f"the server answered {status if number else 'no status'}: {reason}")


def _see_options(config: LoadConfig, options: RestDestinationOptions, named: Sequence[str]) -> None:
    """Raises `InvalidDefinition` for settings that do not fit each other."""
    problems = []
    if config.mode == "replace":
        expected = "`append` or `upsert`: what a server holds cannot be replaced as a whole"
        problems.append(Problem(("load", "mode"), "'replace'", expected))
    if config.mode == "upsert" and options.method == "POST":
        expected = "`PUT` or `PATCH`, which update a record; or `mode: append`"
        problems.append(Problem(("load", "options", "method"), "'POST' with `mode: upsert`", expected))
    if named and options.at_once is not None:
        expected = f"one record in a request, because the address names the field '{named[0]}'"
        problems.append(Problem(("load", "options", "batch"), repr(options.batch), expected))
    if options.results is not None and options.at_once is None:
        problems.append(
            Problem(("load", "options", "results"), "`results`", "`batch: true`, to whose answer it belongs")
        )
    if problems:
        raise InvalidDefinition(problems)
