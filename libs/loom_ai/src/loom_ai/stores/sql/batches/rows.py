"""Writes the requests that wait for batches, and the batches, as rows, and reads them back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from loom_ai.batches.requests import encoding
from loom_ai.batches.requests.values import Batch, BatchState, Request, RequestState, Reserved
from loom_common.domain.model_options.pricing import ModelPrice


def request_row(request: Request) -> dict[str, Any]:
    """Return the row of a request."""
    body = {
        "call": encoding.written(request.call),
        "price": None if request.price is None else request.price.model_dump(),
        "reserved": request.reserved and [request.reserved.id, request.reserved.worst, request.reserved.limit],
        "cut": request.cut,
        "max_age": request.max_age,
    }
    return {
        "key": request.key,
        "run_id": request.run_id,
        "record_id": request.record_id,
        "place": request.place,
        "state": request.state,
        "batch_id": request.batch_id,
        "tries": request.tries,
        "epoch": request.epoch,
        "size": request.size,
        "body": orjson.dumps(body).decode(),
        "problem": request.problem,
        "created_at": request.created_at,
        "deadline_at": request.deadline_at,
    }


def request_in(row: sa.Row[Any]) -> Request:
    """Return the request that a row holds."""
    body = orjson.loads(row.body)
    return Request(
        key=row.key,
        run_id=row.run_id,
        record_id=row.record_id,
        place=row.place,
        call=encoding.read(body["call"]),
        created_at=_utc(row.created_at),
        deadline_at=_utc(row.deadline_at),
        state=RequestState(row.state),
        batch_id=row.batch_id,
        tries=row.tries,
        epoch=row.epoch,
        size=row.size,
        price=None if body["price"] is None else ModelPrice.model_validate(body["price"]),
        reserved=None if body["reserved"] is None else Reserved(*body["reserved"]),
        cut=body["cut"],
        max_age=body["max_age"],
        problem=row.problem,
    )


def batch_row(batch: Batch) -> dict[str, Any]:
    """Return the row of a batch."""
    names = ("id", "run_id", "place", "state", "requests", "done", "reads", "provider_id", "problem", "created_at")
    more = ("deadline_at", "attempted_at")
    body = orjson.dumps(encoding.written(encoding.without_words(batch.call))).decode()
    return {name: getattr(batch, name) for name in (*names, *more)} | {"body": body}


def batch_in(row: Mapping[str, Any]) -> Batch:
    """Return the batch that a row holds."""
    kept = {
        name: row[name] for name in ("id", "run_id", "place", "requests", "done", "reads", "provider_id", "problem")
    }
    return Batch(
        **kept,
        state=BatchState(row["state"]),
        call=encoding.read(orjson.loads(row["body"])),
        created_at=_utc(row["created_at"]),
        deadline_at=_utc(row["deadline_at"]),
        attempted_at=moment(row["attempted_at"]),
    )


def moment(value: dt.datetime | None) -> dt.datetime | None:
    """Return the moment in UTC; None for none."""
    return None if value is None else _utc(value)


def _utc(moment: dt.datetime) -> dt.datetime:
    """Return the moment in UTC. SQLite stores no zone; what was written was UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
