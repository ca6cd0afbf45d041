"""Implements Anthropic's Message Batches.

A batch carries no name of Loom's. One that may have been submitted is looked for among the batches that were created
since, by the number of its requests, and is known for certain by the names of its requests once it has ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Collection
from typing import IO, Any

import orjson

from loom_ai.batches.protocols.protocol import lines_of, number_of, object_in
from loom_ai.batches.requests.client import BatchClient
from loom_ai.batches.requests.values import Batch, End, Found, Limits, Outcome, Result, Status
from loom_ai.ports import ModelCall
from loom_ai.wire.written import members_of

_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
_OUTCOMES = {"canceled": Outcome.CANCELLED, "expired": Outcome.EXPIRED}
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}
"""The HTTP status that each type of error has outside of batches; others count as a fault of the provider."""
_PAGES = 20
_EARLIER = dt.timedelta(hours=1)


class AnthropicBatches:
    """Speaks `/messages/batches`."""

    limits = Limits(requests=100_000, size=200 * 1024 * 1024)

    def line(self, key: str, body: bytes, call: ModelCall) -> bytes:
        return b'{"custom_id":%b,"params":%b},\n' % (orjson.dumps(key), body)

    async def prepare(self, client: BatchClient, batch: Batch, requests: IO[bytes]) -> str:
        return ""

    async def submit(self, client: BatchClient, batch: Batch, requests: IO[bytes], prepared: str) -> str:
        headers = {"Content-Type": "application/json"}
        whole = wrapped(b'{"requests":[', requests, b"]}")
        return str((await client.json("POST", _path(batch), data=whole, headers=headers))["id"])

    async def find(self, client: BatchClient, batch: Batch, known: Collection[str]) -> Found:
        since = (batch.attempted_at or batch.created_at) - _EARLIER
        after, sure = "", True
        for _ in range(_PAGES):
            document = await client.json("GET", f"{_path(batch)}?limit=100{after}")
            found = [each for each in document.get("data") or () if isinstance(each, dict)]
            for each in found:
                if each.get("id") in known or _requests(each) != batch.requests or not _created_since(each, since):
                    continue
                if each.get("processing_status") != "ended":
                    sure = False
                elif await self._holds(client, batch, str(each["id"])):
                    return Found(str(each["id"]))
            if not document.get("has_more") or not found or not _created_since(found[-1], since):
                break
            after = f"&after_id={document.get('last_id')}"
        return Found(sure=sure)

    async def status(self, client: BatchClient, batch: Batch) -> Status:
        document = await client.json("GET", f"{_path(batch)}/{batch.provider_id}")
        counts = document.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        done = sum(number_of(counts.get(name)) for name in _COUNTS[1:])
        if document.get("processing_status") != "ended":
            return Status(done)
        cancelled = document.get("cancel_initiated_at") is not None
        expired = not cancelled and number_of(counts.get("expired")) > 0
        end = End.CANCELLED if cancelled else End.EXPIRED if expired else End.COMPLETED
        return Status(done, end, [f"{_path(batch)}/{batch.provider_id}/results"])

    async def results(self, client: BatchClient, batch: Batch, status: Status) -> AsyncIterator[Result]:
        for path in status.results:
            async with client.stream(path) as pieces:
                async for line in lines_of(pieces):
                    each = object_in(line)
                    if each is not None and (result := result_of(each, line)) is not None:
                        yield result

    async def cancel(self, client: BatchClient, batch: Batch) -> None:
        await client.json("POST", f"{_path(batch)}/{batch.provider_id}/cancel", {})

    async def _holds(self, client: BatchClient, batch: Batch, provider_id: str) -> bool:
        """Tell whether a batch that has ended holds the requests of this one, by the first of its results."""
        async with client.stream(f"{_path(batch)}/{provider_id}/results") as pieces:
            async for line in lines_of(pieces):
                if (each := object_in(line)) is not None:
                    return each.get("custom_id") in batch.names
        return False


def result_of(document: dict[str, Any], line: bytes = b"") -> Result | None:
    """Return what a line of results says; None where it says nothing of a request. A tool's input is the answer, so the
    message that holds one is kept as it stands in the `line`."""
    key, result = document.get("custom_id"), document.get("result")
    if not isinstance(key, str) or not isinstance(result, dict):
        return None
    match result:
        case {"type": "succeeded", "message": message}:
            exact = members_of(b"[%b]" % line, (), ("result", "message")) if b'"tool_use"' in line else []
            body = exact[0].encode() if exact and exact[0] is not None else orjson.dumps(message)
            return Result(key, Outcome.ANSWERED, body)
        case {"type": "canceled" | "expired" as kind}:
            return Result(key, _OUTCOMES[kind])
        case {"type": "errored", "error": error}:
            inner = error.get("error", error) if isinstance(error, dict) else {}
            kind = inner.get("type") if isinstance(inner, dict) else None
            return Result(key, Outcome.ERROR, orjson.dumps({"error": inner}), _STATUS.get(str(kind), 500))
    return None


async def wrapped(before: bytes, requests: IO[bytes], after: bytes) -> AsyncIterator[bytes]:
    """Yield a file of requests, each with a comma and a line break behind it, as a JSON list inside a document."""
    yield before
    requests.seek(0)
    held = b""
    while piece := requests.read(1 << 18):
        yield held
        held = piece
    yield held.removesuffix(b",\n")
    yield after


def _path(batch: Batch) -> str:
    return "/messages/batches" if batch.call.base_url.rstrip("/").endswith("/v1") else "/v1/messages/batches"


def _requests(document: dict[str, Any]) -> int:
    counts = document.get("request_counts")
    return sum(number_of(counts.get(name)) for name in _COUNTS) if isinstance(counts, dict) else -1


def _created_since(document: dict[str, Any], since: dt.datetime) -> bool:
    """Tell whether a batch was created since then; one whose time cannot be read may have been."""
    try:
        created = dt.datetime.fromisoformat(str(document.get("created_at")))
    except ValueError:
        return True
    return (created if created.tzinfo else created.replace(tzinfo=dt.UTC)) >= since
