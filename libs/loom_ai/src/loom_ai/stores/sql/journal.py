"""Keeps the journal in a table of either database. A group of entries is one transaction."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import exc

from loom_ai.answer_notes import read_beside, written_beside
from loom_ai.journal.tables import journal
from loom_ai.ports import NOTED, Entry, Kept, ModelAnswer, Payer
from loom_ai.stores.sql.dialects import dialect_of
from loom_common.async_engine import AsyncEngine
from loom_common.bulk_insert import BulkInsert
from loom_common.domain.values.sqlstates import passes
from loom_common.errors import DependencyUnavailable, PermanentError

_SHORT_BYTES = 128 * 1024
"""The most bytes of a group of answers that is written within a millisecond or two."""
_ROW_BYTES = 400
"""The bytes of an answer beside its text, about."""


class SqlJournal:
    """Implements a `Journal` with an engine of its own. The migrations must have created the table."""

    def __init__(self, engine: AsyncEngine, place: str) -> None:
        self._engine = engine
        self._place = place
        dialect = dialect_of(engine)
        self._upsert = _upsert(dialect)
        self._found = _found(dialect)

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        with trouble("The journal", self._place, "read"):
            rows = await self._engine.fetch(self._found, {"keys": list(keys)})
        return {row.key: _entry(row) for row in rows}

    async def put_many(self, entries: Sequence[Entry]) -> None:
        # Keys are written in the same order everywhere, so that two replicas cannot deadlock.
        rows = [_row(entry) for entry in sorted(entries, key=lambda entry: entry.key)]
        short = sum(len(row["body"]) for row in rows) + _ROW_BYTES * len(rows) <= _SHORT_BYTES
        with trouble("The journal", self._place, "written"):
            await self._engine.insert_many(self._upsert, rows, short=short)

    async def kept(self) -> list[Kept]:
        columns = journal.c
        sums = [sa.func.sum(columns[name]) for name in ("tokens_in", "tokens_out", "cost")]
        ends = [sa.func.min(columns.created_at), sa.func.max(columns.created_at)]
        statement = (
            sa.select(columns.provider, columns.model, sa.func.count(), *sums, *ends)
            .where(columns.purpose != NOTED)
            .group_by(columns.provider, columns.model)
            .order_by(columns.provider, columns.model)
        )
        with trouble("The journal", self._place, "read"):
            async with self._engine.connect() as connection:
                rows = (await connection.execute(statement)).all()
        return [
            Kept(provider, name, answers, tokens_in, tokens_out, cost, _in_utc(oldest), _in_utc(newest))
            for provider, name, answers, tokens_in, tokens_out, cost, oldest, newest in rows
        ]

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        statement = sa.delete(journal)
        if before is not None:
            statement = statement.where(journal.c.created_at < before)
        if model is not None:
            statement = statement.where(journal.c.model == model)
        with trouble("The journal", self._place, "written"):
            async with self._engine.begin() as connection:
                return (await connection.execute(statement)).rowcount

    async def close(self) -> None:
        await self._engine.dispose()


@contextlib.contextmanager
def trouble(what: str, place: str, done: str) -> Iterator[None]:
    """Translate the driver's errors: the message says that `what` at `place` cannot be `done`."""
    try:
        yield
    except (exc.SQLAlchemyError, OSError) as error:
        words = f"{what} at {place} cannot be {done}: {_cause(error)}."
        if _is_transient(error):
            raise DependencyUnavailable(words) from error
        raise PermanentError(f"{words} See that its migrations have run.") from error


def _is_transient(error: Exception) -> bool:
    """Say whether the database is away or busy, rather than refusing the statement.

    SQLite calls both "operational"; its code `SQLITE_ERROR` marks a fault in the statement or the schema."""
    if getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return False
    away = exc.OperationalError | exc.InterfaceError | exc.TimeoutError | OSError
    return isinstance(error, away) or passes(error) or getattr(error, "connection_invalidated", False)


def _upsert(dialect: ModuleType) -> BulkInsert:
    """Return an `INSERT ... ON CONFLICT`, which both dialects have, each in a class of its own."""
    insert = dialect.insert(journal)
    replaced = {column.name: insert.excluded[column.name] for column in journal.c if column.name != "key"}
    upsert = insert.on_conflict_do_update(index_elements=[journal.c.key], set_=replaced)
    return BulkInsert(upsert, journal.c.keys())


def _found(dialect: ModuleType) -> sa.Select[Any]:
    """Return what finds the entries of the keys that it is given. Postgres takes them as one value: it would prepare
    a statement that names each for each number of them."""
    if dialect.__name__ == "sqlalchemy.dialects.postgresql":
        keys = sa.bindparam("keys", type_=dialect.ARRAY(sa.Text))
        return sa.select(journal).where(journal.c.key == sa.any_(keys))
    return sa.select(journal).where(journal.c.key.in_(sa.bindparam("keys", expanding=True)))


def _cause(error: Exception) -> str:
    """Return the first line of the driver's own message, because SQLAlchemy's message contains statements and
    values."""
    origin = getattr(error, "orig", None) or error
    return str(origin).splitlines()[0] if str(origin) else type(origin).__name__


def _row(entry: Entry) -> dict[str, Any]:
    answer = entry.answer
    body: dict[str, Any] = {"text": answer.text, "finish_reason": answer.finish_reason, "model": answer.model}
    if answer.estimated:
        body["estimated"] = True
    if answer.noted:
        body["noted"] = answer.noted
    if answer.cut_off:
        body["cut_off"] = answer.cut_off
    body |= written_beside(answer)
    return {
        "key": entry.key,
        "run_id": entry.payer.run_id,
        "record_id": entry.payer.record_id,
        "provider": entry.provider,
        "model": entry.model,
        "purpose": entry.purpose,
        "body": orjson.dumps(body).decode(),
        "tokens_in": answer.tokens_in,
        "tokens_cached": answer.tokens_cached,
        "tokens_out": answer.tokens_out,
        "cost": entry.cost,
        "latency_seconds": answer.latency,
        "created_at": entry.created_at,
    }


def _entry(row: sa.Row[Any]) -> Entry:
    body = orjson.loads(row.body)
    created_at: dt.datetime = row.created_at
    return Entry(
        key=row.key,
        payer=Payer(row.run_id, row.record_id),
        purpose=row.purpose,
        provider=row.provider,
        model=row.model,
        answer=ModelAnswer(
            text=body["text"],
            finish_reason=body["finish_reason"],
            model=body["model"],
            tokens_in=row.tokens_in,
            tokens_cached=row.tokens_cached,
            tokens_out=row.tokens_out,
            latency=row.latency_seconds,
            estimated=body.get("estimated", False),
            noted=tuple(body.get("noted", ())),
            cut_off=body.get("cut_off", 0),
            **read_beside(body),
        ),
        cost=row.cost,
        created_at=_in_utc(created_at),
    )


def _in_utc(moment: dt.datetime) -> dt.datetime:
    """Return the moment in UTC. SQLite stores no zone; what was written was UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
