"""Makes one transaction of what a message changes and what follows from it: both happen, or neither."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Insert, Table, any_, func, literal, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.domain.values.sqlstates import passes
from loom_common.errors import DependencyUnavailable
from loom_coordinator.db.tables.work import inbox, outbox
from loom_migrations.trouble import state_trouble
from loom_migrations.types import Json
from loom_migrations.upserts import inserting

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

NAME = "coordinator"

_PARAMETERS = 1000
"""The number of values that a SQLite statement gets as parameters of their own; more go in as one."""


@dataclass(slots=True)
class UnitOfWork:
    """Represents an open transaction. `owner` is the embedded engine whose runs these are; None in a cluster."""

    connection: AsyncConnection
    now: dt.datetime
    owner: str | None
    _outgoing: list[Outgoing] = field(default_factory=list)

    def send(self, *outgoing: Outgoing) -> None:
        """Publish when the transaction is committed."""
        self._outgoing.extend(outgoing)

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT, in the database's own dialect."""
        return inserting(self.connection.dialect.name, table)

    def among(self, column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
        """Tell whether a column is one of `values`: on Postgres one statement whatever their number, prepared once."""
        if self.connection.dialect.name != "sqlite":
            from sqlalchemy.dialects import postgresql

            return column == any_(literal(list(values), postgresql.ARRAY(column.type)))
        given = list(values)
        if len(given) <= _PARAMETERS:
            return column.in_(given)
        unfolded = func.json_each(literal(given, Json)).table_valued("value")
        return column.in_(select(unfolded.c.value))

    async def upsert(
        self, table: Table, rows: Sequence[Mapping[str, Any]], *, update: Iterable[str] | None = None
    ) -> None:
        """Insert rows; where the primary key stands already, set the `update` columns (default: all), or nothing."""
        if not rows:
            return
        changed = None if update is None else tuple(update)
        statement = _upserting(self.connection.dialect.name, table, tuple(rows[0]), changed)
        await self.connection.execute(statement, list(rows))

    async def first_time(self, messages: Mapping[str, str]) -> set[str]:
        """Enter message ids (id -> run) into the inbox; give back those that were not there."""
        if not messages:
            return set()
        rows = [{"message_id": name, "run_id": run_id, "received_at": self.now} for name, run_id in messages.items()]
        statement = self.insert(inbox).on_conflict_do_nothing().returning(inbox.c.message_id)
        return set((await self.connection.execute(statement, rows)).scalars())

    async def flush(self) -> None:
        """Write what is to be sent into the outbox."""
        if not self._outgoing:
            return
        rows = []
        for outgoing in self._outgoing:
            wire = encode(outgoing, NAME)
            rows.append(
                {
                    "owner": self.owner,
                    "exchange": wire.exchange,
                    "routing_key": wire.routing_key,
                    "body": wire.body,
                    "properties": {
                        "type": wire.type,
                        "message_id": wire.message_id,
                        "correlation_id": wire.correlation_id,
                        "content_encoding": wire.content_encoding,
                        "headers": dict(wire.headers),
                        "mandatory": wire.mandatory,
                    },
                    "created_at": self.now,
                }
            )
        await self.connection.execute(outbox.insert(), rows)

    @property
    def sends(self) -> bool:
        """Tell whether anything waits to be sent."""
        return bool(self._outgoing)


@functools.cache
def _upserting(dialect: str, table: Table, columns: Sequence[str], update: Sequence[str] | None) -> Insert:
    """Return the statement of an upsert, built once: `excluded` makes a copy of every column of its table."""
    key = [column.name for column in table.primary_key]
    statement = inserting(dialect, table)
    changed = [name for name in columns if name not in key] if update is None else update
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=key)
    excluded = statement.excluded
    return statement.on_conflict_do_update(index_elements=key, set_={name: excluded[name] for name in changed})


@asynccontextmanager
async def begin(engine: AsyncEngine, now: dt.datetime, owner: str | None) -> AsyncIterator[UnitOfWork]:
    """Open a unit; commit it with its outbox rows. Raises `DependencyUnavailable` where the database is away, and
    `StateUnusable` where its file is full, refused or broken."""
    try:
        async with engine.begin() as connection:
            unit = UnitOfWork(connection, now, owner)
            yield unit
            await unit.flush()
    except (DBAPIError, PoolTimeout, OSError) as error:
        if (trouble := state_trouble(engine.url, error)) is not None:
            raise trouble from error
        if isinstance(error, DBAPIError) and not error.connection_invalidated and not _passing(error):
            raise
        raise DependencyUnavailable(f"The state database is away: {type(error).__name__}.") from error


def _passing(error: DBAPIError) -> bool:
    """Recognise errors that time heals; in SQLite, another process that writes."""
    return passes(error) or "locked" in str(error.orig)
