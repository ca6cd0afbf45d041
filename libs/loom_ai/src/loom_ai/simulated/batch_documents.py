"""Writes a batch, and its results, as OpenAI, Anthropic and Google show them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from loom_ai.simulated.batch import SimulatedBatch

_YEAR = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def openai_document(batch: SimulatedBatch, state: str, done: int) -> dict[str, Any]:
    """Return the batch as OpenAI shows it, in a state and with so many requests done."""
    errors = sum(each["status"] >= 400 for each in batch.results.values())
    document: dict[str, Any] = {
        "id": batch.id,
        "object": "batch",
        "status": "in_progress" if state == "running" else state,
        "created_at": int(batch.created),
        "metadata": {"loom_batch": batch.name} if batch.name else None,
        "request_counts": {"total": len(batch.requests), "completed": done - errors, "failed": errors},
    }
    if state == "failed":
        code = "token_limit_exceeded" if batch.fault == "too_much" else "invalid_json_line"
        document["errors"] = {"object": "list", "data": [{"code": code, "message": f"It failed: {code}"}]}
    elif state != "running":
        document |= {"output_file_id": f"output-{batch.id}", "error_file_id": f"error-{batch.id}"}
    return document


def openai_lines(batch: SimulatedBatch, state: str, kind: str) -> list[dict[str, Any]]:
    """Return the lines of one of the two files that OpenAI offers of a batch: its `output` or its `error`."""
    lines = []
    for key, _, _ in batch.requests:
        found = batch.results.get(key)
        if found is None and kind == "error" and state in ("expired", "cancelled"):
            error = {"code": f"batch_{state}", "message": "This request was not executed."}
            lines.append({"id": f"r-{key}", "custom_id": key, "response": None, "error": error})
        elif found is not None and (found["status"] >= 400) == (kind == "error"):
            response = {"status_code": found["status"], "body": found["body"]}
            lines.append({"id": f"r-{key}", "custom_id": key, "response": response, "error": None})
    return lines


def anthropic_document(batch: SimulatedBatch, state: str, done: int) -> dict[str, Any]:
    """Return the batch as Anthropic shows it, in a state and with so many requests done."""
    ended, rest = state != "running", len(batch.requests) - done
    errors = sum(each["status"] >= 400 for each in batch.results.values())
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "in_progress",
        "created_at": (_YEAR + dt.timedelta(seconds=batch.created - _YEAR.timestamp())).isoformat(),
        "cancel_initiated_at": None if batch.cancelled is None else _YEAR.isoformat(),
        "request_counts": {
            "processing": 0 if ended else rest,
            "succeeded": done - errors,
            "errored": errors,
            "canceled": rest if ended and state == "cancelled" else 0,
            "expired": rest if ended and state == "expired" else 0,
        },
    }


def anthropic_lines(batch: SimulatedBatch) -> list[dict[str, Any]]:
    """Return the results that Anthropic offers of a batch that has ended."""
    lines = []
    for key, _, _ in batch.requests:
        found = batch.results.get(key)
        if found is None:
            kind = "canceled" if batch.cancelled is not None else "expired"
            result: dict[str, Any] = {"type": kind}
        elif found["status"] >= 400:
            result = {"type": "errored", "error": found["body"]}
        else:
            result = {"type": "succeeded", "message": found["body"]}
        lines.append({"custom_id": key, "result": result})
    return lines


def google_document(batch: SimulatedBatch, state: str, done: int) -> dict[str, Any]:
    """Return the batch as Google shows it, with its results, in a state and with so many requests done."""
    errors = sum(each["status"] >= 400 for each in batch.results.values())
    words = {"running": "RUNNING", "completed": "SUCCEEDED"}.get(state, state.upper())
    document: dict[str, Any] = {
        "name": f"batches/{batch.id}",
        "metadata": {
            "displayName": batch.name,
            "state": f"BATCH_STATE_{words}",
            "batchStats": {
                "requestCount": str(len(batch.requests)),
                "successfulRequestCount": str(done - errors),
                "failedRequestCount": str(errors),
            },
        },
        "done": state != "running",
    }
    if state == "failed":
        document["error"] = {"code": 8 if batch.fault == "too_much" else 3, "message": "It failed"}
    elif state != "running":
        inlined = [
            {"metadata": {"key": key}}
            | ({"error": found["body"]["error"]} if found["status"] >= 400 else {"response": found["body"]})
            for key, _, _ in batch.requests
            if (found := batch.results.get(key)) is not None
        ]
        document["response"] = {"inlinedResponses": {"inlinedResponses": inlined}}
    return document
