"""Implements the batch mode of Google's Gemini API, with the requests inside the document that creates a batch.

A batch carries Loom's name of it as its display name, by which it is found again in the list of batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import IO, Any
from urllib.parse import quote

import orjson

from loom_ai.batches.protocols.anthropic import wrapped
from loom_ai.batches.protocols.protocol import number_of, text_of
from loom_ai.batches.requests.client import BatchClient
from loom_ai.batches.requests.values import Batch, End, Found, Limits, Outcome, Result, Status
from loom_ai.ports import ModelCall

_ENDS = {
    "SUCCEEDED": End.COMPLETED,
    "EXPIRED": End.EXPIRED,
    "CANCELLED": End.CANCELLED,
    "FAILED": End.FAILED,
}
"""Says how a batch has ended, by the end of its state's name: `BATCH_STATE_SUCCEEDED`, `JOB_STATE_SUCCEEDED`."""
_STATUS = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 16: 401}
"""The HTTP status of each code of `google.rpc.Status`; others count as a fault of the provider."""
_PAGES = 20


class GoogleBatches:
    """Speaks `:batchGenerateContent` and `/batches`."""

    limits = Limits(requests=5_000, size=15 * 1024 * 1024)
    """The requests inside a document may have 20 MB."""

    def line(self, key: str, body: bytes, call: ModelCall) -> bytes:
        return b'{"request":%b,"metadata":{"key":%b}},\n' % (body, orjson.dumps(key))

    async def prepare(self, client: BatchClient, batch: Batch, requests: IO[bytes]) -> str:
        return ""

    async def submit(self, client: BatchClient, batch: Batch, requests: IO[bytes], prepared: str) -> str:
        before = b'{"batch":{"displayName":%b,"inputConfig":{"requests":{"requests":[' % orjson.dumps(batch.id)
        path = f"/models/{quote(batch.call.model, safe='-._')}:batchGenerateContent"
        headers = {"Content-Type": "application/json"}
        document = await client.json("POST", path, data=wrapped(before, requests, b"]}}}}"), headers=headers)
        return str(document["name"])

    async def find(self, client: BatchClient, batch: Batch, known: Collection[str]) -> Found:
        token = ""
        for _ in range(_PAGES):
            document = await client.json("GET", f"/batches?pageSize=100{token}")
            for each in document.get("operations") or ():
                if isinstance(each, dict) and _said(each).get("displayName") == batch.id:
                    return Found(str(each["name"]))
            if not (following := document.get("nextPageToken")):
                break
            token = f"&pageToken={quote(str(following), safe='')}"
        return Found()

    async def status(self, client: BatchClient, batch: Batch) -> Status:
        document = await client.json("GET", f"/{batch.provider_id}")
        said = _said(document)
        counts = said.get("batchStats")
        counts = counts if isinstance(counts, dict) else {}
        done = number_of(counts.get("successfulRequestCount")) + number_of(counts.get("failedRequestCount"))
        end = _ENDS.get(str(said.get("state")).rpartition("_")[2])
        error = document.get("error")
        if end is None and document.get("done"):
            end = End.FAILED if isinstance(error, dict) else End.COMPLETED
        problem = text_of(error.get("message")) if isinstance(error, dict) else None
        too_much = isinstance(error, dict) and error.get("code") in (8, 429)
        return Status(done, end, document=document if end else None, problem=problem, too_much=too_much)

    async def results(self, client: BatchClient, batch: Batch, status: Status) -> AsyncIterator[Result]:
        for each in _inlined(status.document):
            if (result := result_of(each)) is not None:
                yield result

    async def cancel(self, client: BatchClient, batch: Batch) -> None:
        await client.json("POST", f"/{batch.provider_id}:cancel", {})


def result_of(each: Any) -> Result | None:
    """Return what one response inside a batch says; None where it says nothing of a request."""
    metadata = each.get("metadata") if isinstance(each, dict) else None
    key = metadata.get("key") if isinstance(metadata, dict) else None
    if not isinstance(key, str):
        return None
    match each:
        case {"response": dict() as response}:
            return Result(key, Outcome.ANSWERED, orjson.dumps(response))
        case {"error": dict() as error}:
            code = error.get("code")
            stated = code if isinstance(code, int) and 400 <= code < 600 else 500
            status = _STATUS.get(code, stated) if isinstance(code, int) else stated
            outcome = Outcome.CANCELLED if status == 499 else Outcome.ERROR
            return Result(key, outcome, orjson.dumps({"error": error}), status)
    return None


def _said(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a document says of its batch: as an operation, or as the batch itself."""
    metadata = document.get("metadata")
    return {**document, **metadata} if isinstance(metadata, dict) else document


def _inlined(document: Any) -> list[Any]:
    """Return the responses inside a document, which stand in one of two places."""
    said = _said(document) if isinstance(document, dict) else {}
    for place in (said.get("response"), said.get("output"), said.get("dest")):
        found = place.get("inlinedResponses") if isinstance(place, dict) else None
        if isinstance(found, dict):
            found = found.get("inlinedResponses")
        if isinstance(found, list):
            return found
    return []
