"""Keeps the answers of requests that have an idempotency key, so that one that comes twice is carried out once."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, select, update
from sqlalchemy.sql.dml import ReturningInsert

from loom_common.async_engine import AsyncConnection
from loom_coordinator.db.tables.requests import idempotency_keys as table
from loom_migrations.upserts import inserting

KEPT = dt.timedelta(hours=24)
"""Says how long an answer is kept."""
TAKEN = dt.timedelta(minutes=2)
"""Says after how long a request without an answer counts as one whose process has ended."""

_LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MINE = and_(table.c.client == bindparam("of_client"), table.c.key == bindparam("of_key"))
_ROW = select(table).where(_MINE)
_ANSWER = update(table).where(_MINE)
_FORGET_OLD = delete(table).where(table.c.first_at < bindparam("before", type_=table.c.first_at.type))


@functools.cache
def _enter(dialect: str) -> ReturningInsert[tuple[str]]:
    return inserting(dialect, table).on_conflict_do_nothing().returning(table.c.key)


@dataclass(frozen=True, slots=True)
class Key:
    """Names a request: whose it is, the key that the client chose, and a hash of all that the request says."""

    client: str
    key: str
    request_hash: str

    @property
    def row(self) -> dict[str, str]:
        """Return what finds its row."""
        return {"of_client": self.client, "of_key": self.key}


@dataclass(frozen=True, slots=True)
class Taken:
    """Says that the request is to be carried out."""

    first_at: dt.datetime
    """The time when a request came with this key first: the same for a request that takes its place."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Holds the answer that the request had."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Says that the same request is being carried out."""


@dataclass(frozen=True, slots=True)
class Other:
    """Says that another request came with this key."""


async def take(connection: AsyncConnection, key: Key, now: dt.datetime) -> Taken | Answered | UnderWay | Other:
    """Take a request, unless one with its key has been taken in the last `KEPT`. One without an answer is taken again
    after `TAKEN`."""
    return (await take_all(connection, [key], now))[0]


async def take_all(
    connection: AsyncConnection, keys: Sequence[Key], now: dt.datetime
) -> list[Taken | Answered | UnderWay | Other]:
    """Take several requests, each as `take` does. Their keys are entered in one order, so that two transactions never
    wait for each other."""
    await connection.execute(_FORGET_OLD, {"before": now - KEPT})
    order = sorted(range(len(keys)), key=lambda at: (keys[at].client, keys[at].key))
    found = {at: await _taken(connection, keys[at], now) for at in order}
    return [found[at] for at in range(len(keys))]


async def _taken(connection: AsyncConnection, key: Key, now: dt.datetime) -> Taken | Answered | UnderWay | Other:
    values = {"client": key.client, "key": key.key, "request_hash": key.request_hash, "first_at": now, "taken_at": now}
    if (await connection.execute(_enter(connection.dialect.name), values)).scalar_one_or_none() is not None:
        return Taken(now)
    found = (await connection.execute(_ROW, key.row)).mappings().one_or_none()
    if found is None:
        return UnderWay()  # it was given back since
    if found["request_hash"] != key.request_hash:
        return Other()
    if found["status"] is not None:
        return Answered(found["status"], found["headers"], found["body"])
    left = and_(_MINE, table.c.status.is_(None), table.c.taken_at < now - TAKEN)
    again = update(table).where(left).values(taken_at=now).returning(table.c.first_at)
    first_at = (await connection.execute(again, key.row)).scalar_one_or_none()
    return UnderWay() if first_at is None else Taken(first_at)


async def answer(connection: AsyncConnection, key: Key, answer: Answered) -> None:
    """Keep the answer of a request that was taken."""
    values = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
    await connection.execute(_ANSWER, {**key.row, **values})


async def forget(connection: AsyncConnection, key: Key) -> None:
    """Forget a request that was refused: it, or another one, may come with the same key."""
    await connection.execute(delete(table).where(_MINE, table.c.status.is_(None)), key.row)


async def give_back(connection: AsyncConnection, key: Key) -> None:
    """Let the same request be taken again at once. It may have been carried out, although there is no answer."""
    waits = and_(_MINE, table.c.status.is_(None))
    await connection.execute(update(table).where(waits).values(taken_at=_LONG_AGO), key.row)
