"""Implements OpenAI's batch API: a file of requests, and a batch that names it. Others offer the same.

A batch carries Loom's name of it as metadata, by which it is found again in the list of batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import IO, Any

import orjson

from loom_ai.batches.protocols.protocol import lines_of, number_of, object_in, text_of
from loom_ai.batches.requests.client import BatchClient, form
from loom_ai.batches.requests.values import Batch, End, Found, Limits, Outcome, Result, Status
from loom_ai.ports import ModelCall

NAME = "loom_batch"
"""The key of the metadata that holds Loom's name of a batch."""
_ENDS = {
    "completed": End.COMPLETED,
    "expired": End.EXPIRED,
    "cancelled": End.CANCELLED,
    "failed": End.FAILED,
}
_OUTCOMES = {"batch_expired": Outcome.EXPIRED, "batch_cancelled": Outcome.CANCELLED}
_PAGES = 20
"""The most pages of a hundred batches that are looked through for one that may have been submitted."""
_EARLIER_SECONDS = 3600.0
"""Says how much the clocks of the provider and of this machine may differ."""


class OpenAiBatches:
    """Speaks `/files` and `/batches`."""

    limits = Limits(requests=50_000, size=180 * 1024 * 1024)

    def line(self, key: str, body: bytes, call: ModelCall) -> bytes:
        name = orjson.dumps(key)
        return b'{"custom_id":%b,"method":"POST","url":"/v1/chat/completions","body":%b}\n' % (name, body)

    async def prepare(self, client: BatchClient, batch: Batch, requests: IO[bytes]) -> str:
        requests.seek(0)
        document = await client.json("POST", "/files", data=form(f"loom-{batch.id}.jsonl", requests))
        return str(document.get("id"))

    async def submit(self, client: BatchClient, batch: Batch, requests: IO[bytes], prepared: str) -> str:
        body = {
            "input_file_id": prepared,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {NAME: batch.id},
        }
        document = await client.json("POST", "/batches", body, headers={"Idempotency-Key": batch.id})
        return str(document["id"])

    async def find(self, client: BatchClient, batch: Batch, known: Collection[str]) -> Found:
        since = (batch.attempted_at or batch.created_at).timestamp() - _EARLIER_SECONDS
        after = ""
        for _ in range(_PAGES):
            document = await client.json("GET", f"/batches?limit=100{after}")
            found = [each for each in document.get("data") or () if isinstance(each, dict)]
            for each in found:
                if isinstance(each.get("metadata"), dict) and each["metadata"].get(NAME) == batch.id:
                    return Found(str(each["id"]))
            if not document.get("has_more") or not found or number_of(found[-1].get("created_at")) < since:
                break
            after = f"&after={found[-1]['id']}"
        return Found()

    async def status(self, client: BatchClient, batch: Batch) -> Status:
        document = await client.json("GET", f"/batches/{batch.provider_id}")
        counts = document.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        errors = _errors(document)
        return Status(
            done=number_of(counts.get("completed")) + number_of(counts.get("failed")),
            end=_ENDS.get(str(document.get("status"))),
            results=[
                f"/files/{name}/content"
                for name in (document.get("output_file_id"), document.get("error_file_id"))
                if isinstance(name, str) and name
            ],
            problem=next((text_of(each.get("message")) for each in errors), None),
            too_much=any("token_limit" in str(each.get("code")) for each in errors),
        )

    async def results(self, client: BatchClient, batch: Batch, status: Status) -> AsyncIterator[Result]:
        for path in status.results:
            async with client.stream(path) as pieces:
                async for line in lines_of(pieces):
                    each = object_in(line)
                    if each is not None and (result := result_of(each)) is not None:
                        yield result

    async def cancel(self, client: BatchClient, batch: Batch) -> None:
        await client.json("POST", f"/batches/{batch.provider_id}/cancel", {})


def result_of(line: dict[str, Any]) -> Result | None:
    """Return what a line of results says; None where it says nothing of a request."""
    key, response, error = line.get("custom_id"), line.get("response"), line.get("error")
    if not isinstance(key, str):
        return None
    if isinstance(response, dict) and "body" in response:
        status = number_of(response.get("status_code")) or 200
        outcome = Outcome.ANSWERED if 200 <= status < 300 else Outcome.ERROR
        return Result(key, outcome, orjson.dumps(response["body"]), status)
    if isinstance(error, dict):
        outcome = _OUTCOMES.get(str(error.get("code")), Outcome.ERROR)
        return Result(key, outcome, orjson.dumps({"error": error}), 500)
    return None


def _errors(document: dict[str, Any]) -> list[dict[str, Any]]:
    errors = document.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []
