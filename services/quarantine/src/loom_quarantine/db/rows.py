"""Converts a message to the rows of its records."""

from __future__ import annotations

import datetime as dt
from typing import Any

from loom_common.contracts.v1 import KeptRecord, RecordsQuarantined

_NUL, _REPLACEMENT = "\x00", "\ufffd"
"""Postgres stores no NUL character in text or JSON; it is replaced by U+FFFD."""


def rows_of(message: RecordsQuarantined, now: dt.datetime) -> list[dict[str, Any]]:
    """Return one row per record, by column name."""
    return [_storable(_row(message, record, now)) for record in message.records]


def _row(message: RecordsQuarantined, record: KeptRecord, now: dt.datetime) -> dict[str, Any]:
    return {
        "run_id": message.run_id,
        "record_id": record.record_id,
        "record_data": record.input,
        "failure_stage": str(message.stage),
        "failure_reason": record.reason,
        "error_details": record.details or None,
        "evaluation_scores": record.scores or None,
        "quarantined_at": now,
        "pipeline_name": message.pipeline,
        "batch_id": message.batch_id,
        "outcome": record.outcome,
        "code": record.code,
        "output": record.output,
        "attempts": record.attempts,
        "derived": None if record.derived is None else record.derived.as_json(),
    }


def _storable(value: Any) -> Any:
    match value:
        case str():
            return value.replace(_NUL, _REPLACEMENT)
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case _:
            return value
