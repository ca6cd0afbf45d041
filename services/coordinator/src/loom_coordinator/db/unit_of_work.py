"""Makes one transaction of what a message changes and what follows from it: both happen, or neither."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, ColumnElement, Table, Update, any_, bindparam, func, select, type_coerce, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.bulk_insert import BulkInsert
from loom_common.contracts.envelope import Outgoing
from loom_common.domain.values.sqlstates import passes
from loom_common.errors import DependencyUnavailable
from loom_common.ports.bus import Wire
from loom_common.ports.tracing import RunEnd, SpanReference
from loom_coordinator.db.pipeline_metrics import Observation
from loom_coordinator.db.tables.work import inbox, outbox
from loom_migrations.trouble import state_trouble
from loom_migrations.types import Json
from loom_migrations.upserts import inserting

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

NAME = "coordinator"


_ENTER_OUTBOX = outbox.insert().returning(outbox.c.id)


@dataclass(frozen=True, slots=True)
class Sent:
    """Holds what a unit has sent."""

    wires: Sequence[Wire] = ()
    rows: Sequence[int] = ()
    """Holds the ids of its rows in the outbox; none where it stands in memory alone."""


@dataclass(slots=True)
class UnitOfWork:
    """Represents an open transaction. `owner` is the embedded engine whose runs these are; None in a cluster."""

    connection: AsyncConnection
    now: dt.datetime
    owner: str | None
    _outgoing: list[Outgoing] = field(default_factory=list)
    observed: list[Observation] = field(default_factory=list)
    """What is counted once the transaction is committed."""
    ended: list[RunEnd] = field(default_factory=list)
    """The runs that end with the transaction."""
    sent: Sent = field(default_factory=Sent)
    """What is published once the transaction is committed."""

    @property
    def observes(self) -> bool:
        """Tell whether anyone reads what is counted: nobody reads the metrics of an embedded engine."""
        return self.owner is None

    def observe(self, metric: str, *labels: str, value: float = 1.0, span: SpanReference | None = None) -> None:
        """Count something when the transaction is committed, with `span` as the exemplar of a histogram."""
        if self.observes:
            self.observed.append(Observation(metric, labels, value, span))

    def send(self, *outgoing: Outgoing) -> None:
        """Publish when the transaction is committed."""
        self._outgoing.extend(outgoing)

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT, in the database's own dialect."""
        return inserting(self.dialect, table)

    @property
    def dialect(self) -> str:
        """Return `sqlite` or `postgresql`."""
        return self.connection.dialect.name

    def among(self, column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
        """Return whether a column is one of `values`."""
        return one_of(self.dialect, column, bindparam(None, list(values), unique=True))

    async def upsert(
        self, table: Table, rows: Sequence[Mapping[str, Any]], *, update: Iterable[str] | None = None
    ) -> None:
        """Insert rows; where the primary key stands already, set the `update` columns (default: all), or nothing."""
        if not rows:
            return
        changed = None if update is None else tuple(update)
        statement = _upserting(self.dialect, table, tuple(rows[0]), changed)
        await self.connection.insert_many_later(statement, rows)

    async def change(self, table: Table, key: str, values: Mapping[str, Any]) -> None:
        """Set columns of the row with this primary key, which is one column. Nothing is an SQL expression."""
        given = {"of_key": key, **{f"new_{name}": value for name, value in values.items()}}
        await self.connection.execute_later(_changing(table, tuple(values)), given)

    async def first_time(self, message_id: str) -> bool:
        """Enter a message's id into the inbox. Return whether it was not there."""
        row = {"message_id": message_id, "received_at": self.now}
        statement = self.insert(inbox).on_conflict_do_nothing().returning(inbox.c.message_id)
        return (await self.connection.execute(statement, row)).scalar_one_or_none() is not None

    def taken(self) -> list[Outgoing]:
        """Return what is to be sent. It is not written into the outbox by `flush` then."""
        taken, self._outgoing = self._outgoing, []
        return taken

    async def flush(self) -> None:
        """Write what is to be sent into the outbox."""
        if not self._outgoing:
            return
        from loom_common.contracts.encoding.codec import encode  # who reads run state sends nothing

        wires = [encode(outgoing, NAME) for outgoing in self.taken()]
        rows = [
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
            for wire in wires
        ]
        entered = await self.connection.execute(_ENTER_OUTBOX, rows)
        self.sent = Sent(wires, list(entered.scalars()))


def one_of(dialect: str, column: ColumnElement[str], values: BindParameter[list[str]]) -> ColumnElement[bool]:
    """Return whether a column is one of the values of one parameter, a list. The statement is the same whatever their
    number, so that it is prepared once."""
    if dialect != "sqlite":
        from sqlalchemy.dialects import postgresql

        return column == any_(type_coerce(values, postgresql.ARRAY(column.type)))
    return column.in_(select(func.json_each(type_coerce(values, Json)).table_valued("value").c.value))


@functools.cache
def _upserting(dialect: str, table: Table, columns: Sequence[str], update: Sequence[str] | None) -> BulkInsert:
    """Return the statement of an upsert, built once: `excluded` makes a copy of every column of its table."""
    key = [column.name for column in table.primary_key]
    statement = inserting(dialect, table)
    changed = [name for name in columns if name not in key] if update is None else update
    if not changed:
        return BulkInsert(statement.on_conflict_do_nothing(index_elements=key), columns)
    excluded = statement.excluded
    upsert = statement.on_conflict_do_update(index_elements=key, set_={name: excluded[name] for name in changed})
    return BulkInsert(upsert, columns)


@functools.cache
def _changing(table: Table, columns: Sequence[str]) -> Update:
    """Return the statement that sets these columns of a row, built once: building takes longer than carrying out."""
    (key,) = table.primary_key
    new = {table.c[name]: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns}
    return update(table).where(key == bindparam("of_key")).values(new)


@asynccontextmanager
async def begin(engine: AsyncEngine, now: dt.datetime, owner: str | None) -> AsyncIterator[UnitOfWork]:
    """Open a unit; commit it with its outbox rows. Raises `DependencyUnavailable` where the database is away, and
    `StateUnusable` where its file is full, refused or broken."""
    with trouble_told(engine.url):
        async with engine.begin() as connection:
            unit = UnitOfWork(connection, now, owner)
            yield unit
            await unit.flush()


@contextmanager
def trouble_told(url: URL) -> Iterator[None]:
    """Raise `DependencyUnavailable` where the database at `url` is away, and `StateUnusable` where its file is full,
    refused or broken. Other errors pass."""
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError) as error:
        if (trouble := state_trouble(url, error)) is not None:
            raise trouble from error
        if isinstance(error, DBAPIError) and not error.connection_invalidated and not _passing(error):
            raise
        raise DependencyUnavailable(f"The state database is away: {type(error).__name__}.") from error


def _passing(error: DBAPIError) -> bool:
    """Recognise errors that time heals; in SQLite, another process that writes."""
    return passes(error) or "locked" in str(error.orig)
