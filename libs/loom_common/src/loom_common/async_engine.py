"""Opens SQLAlchemy's engines for asyncio, without its object-relational mapper.

SQLAlchemy's own package for asyncio imports that mapper, which Loom does not use, and importing it takes a tenth of a
second of every command (ADR 15). The classes have the names and the methods of SQLAlchemy's, as far as Loom calls
them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple, overload

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, CursorResult, Dialect, Engine, Row, create_engine
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.sql import Executable
from sqlalchemy.sql.selectable import TypedReturnsRows
from sqlalchemy.util import LRUCache
from sqlalchemy.util.concurrency import greenlet_spawn

from loom_common import poolers
from loom_common.bulk_insert import BulkInsert
from loom_common.put_off import commit_with_next, put_off, short_with_next

WRITES = "loom_writes"
"""Names the option of a connection whose transaction was begun in order to write."""
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]
R = TypeVar("R")
Value = TypeVar("Value")
Columns = TypeVarTuple("Columns")
Arguments = TypeVarTuple("Arguments")


def create_async_engine(url: str | URL, **settings: Any) -> AsyncEngine:
    """Return an engine with a driver for asyncio, which connects at its first use. `settings` are those of SQLAlchemy's
    `create_engine`."""
    return AsyncEngine(create_engine(url, execution_options={"compiled_cache": _COMPILED}, **settings))


class _Compiled(LRUCache[Any, Any]):
    """Holds the SQL that statements were compiled to, for all engines of the process.

    SQLAlchemy keeps it for each engine by itself. A command opens several engines for a short time, and compiling took
    a quarter of a short run. An engine's own dialect comes first in a key of SQLAlchemy's; what it writes follows from
    its kind and from the version of the server, which stand here in its place."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_any_engine(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_of_any_engine(key), compiled)


def _of_any_engine(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *rest = key
    return (type(dialect), dialect.server_version_info, *rest)


_COMPILED = _Compiled(1000)


def see_no_pooler(engine: AsyncEngine, shown: str) -> None:
    """Have connections of an engine to Postgres refused, by `ConfigurationError`, until one is seen that no pooler
    gives. `shown` is the address as people may see it."""
    seen = False

    @event.listens_for(engine.sync_engine, "connect", insert=True)
    def see(connection: Any, _record: object) -> None:
        nonlocal seen
        if not seen and connection.run_async(poolers.is_pooler):
            connection.close()
            raise poolers.refused(shown)
        seen = True


def ping_before_use(engine: AsyncEngine, after: float = 0.0) -> None:
    """Have each connection to Postgres tested that is used more than `after` seconds after its last use, and all in the
    pool replaced where it is lost.

    SQLAlchemy tests them in a transaction, for the sake of poolers that Loom refuses. That takes three answers of the
    server, where one tells as much."""

    @event.listens_for(engine.sync_engine, "checkin")
    def put_back(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def take(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < after:
            return
        import asyncpg  # an embedded run has no such connection, and an import of its driver takes long

        try:
            connection.run_async(lambda driver: driver.fetchrow(";"))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise InvalidatePoolError("the connection was lost while it was idle") from error


class AsyncEngine:
    """Gives connections to a database from a pool."""

    def __init__(self, sync_engine: Engine) -> None:
        self.sync_engine = sync_engine

    @property
    def url(self) -> URL:
        """Return the address of the database."""
        return self.sync_engine.url

    @property
    def dialect(self) -> Dialect:
        """Return how statements are written for the database."""
        return self.sync_engine.dialect

    def connect(self) -> AsyncConnection:
        """Return a connection that is taken from the pool by `async with`. What is not committed is rolled back."""
        return AsyncConnection(self)

    def begin(self) -> AsyncConnection:
        """Return a connection with a transaction that may write, which is committed at the end of an `async with`, or
        rolled back where an error leaves the block."""
        return AsyncConnection(self, begins=True)

    async def carry_out(self, statement: Executable, parameters: Parameters | None = None) -> None:
        """Carry out one statement that returns no rows, as a transaction of its own."""
        await greenlet_spawn(self._carried_out, statement, parameters)

    async def insert_many(self, insert: BulkInsert, rows: Sequence[Mapping[str, Any]], *, short: bool = False) -> None:
        """Insert rows, as a transaction of their own. `short` says that this takes no longer than other things that
        the event loop does, so that a connection to SQLite may do it without its thread."""
        await greenlet_spawn(self._inserted, insert, rows, short)

    async def fetch(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """Carry out one statement as a transaction of its own, and return its rows."""
        return await greenlet_spawn(self._carried_out, statement, values)

    def _carried_out(self, statement: Executable, parameters: Parameters | None) -> Sequence[Row[Any]]:
        with self.sync_engine.connect() as connection:
            commit_with_next(connection)
            result = connection.execute(statement, parameters)
            rows = result.all() if result.returns_rows else ()
            connection.commit()
            return rows

    def _inserted(self, insert: BulkInsert, rows: Sequence[Mapping[str, Any]], short: bool) -> None:  # noqa: FBT001
        with self.sync_engine.connect() as connection:
            values = insert.values(connection.dialect, rows)
            commit_with_next(connection)
            if short:
                short_with_next(connection)
            connection.exec_driver_sql(insert.sql(connection.dialect), values)
            connection.commit()

    async def dispose(self) -> None:
        """Close the connections in the pool."""
        await greenlet_spawn(self.sync_engine.dispose)


class AsyncConnection:
    """Carries out statements, one after the other. A transaction begins with the first one."""

    def __init__(self, engine: AsyncEngine, *, begins: bool = False) -> None:
        """`begins` says whether the block of an `async with` is one transaction."""
        self.engine = engine
        self._begins = begins
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await greenlet_spawn(self._opened)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._begins:
                await greenlet_spawn(self._ended, kind, error, trace)
        finally:
            if self.sync_connection.in_transaction():
                # The connection goes back to the pool also where the task that used it is cancelled meanwhile.
                await asyncio.shield(asyncio.create_task(self.close()))
            elif not self.sync_connection.closed:  # then nothing has to be waited for
                await self.close()

    def _opened(self) -> Connection:
        connection = self.engine.sync_engine.connect()
        if self._begins:
            try:
                connection.execution_options(**{WRITES: True})
                connection.begin()
            except BaseException:
                connection.close()
                raise
        return connection

    def _ended(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the transaction, and give the connection back."""
        if (transaction := self.sync_connection.get_transaction()) is not None:
            transaction.__exit__(kind, error, trace)
        self.sync_connection.close()

    @property
    def sync_connection(self) -> Connection:
        """Return SQLAlchemy's connection. Raises `RuntimeError` outside `async with`."""
        if self._connection is None:
            raise RuntimeError("the connection is not open: use it within `async with`")
        return self._connection

    @property
    def dialect(self) -> Dialect:
        """Return how statements are written for the database."""
        return self.engine.dialect

    @overload
    async def execute(
        self, statement: TypedReturnsRows[*Columns], parameters: Parameters | None = None
    ) -> CursorResult[*Columns]: ...

    @overload
    async def execute(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[*tuple[Any, ...]]: ...

    async def execute(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        """Carry out a statement, and take all its rows."""
        return await greenlet_spawn(self.sync_connection.execute, statement, parameters)

    async def execute_later(self, statement: Executable, parameters: Parameters | None = None) -> None:
        """Carry out a statement of this transaction whose result nobody asks for, at the latest with its next one, or
        with its commit, which raises what this one would."""
        await greenlet_spawn(self._executed_later, statement, parameters)

    def _executed_later(self, statement: Executable, parameters: Parameters | None) -> None:
        with put_off(self.sync_connection):
            self.sync_connection.execute(statement, parameters)

    def commit_with_next(self) -> None:
        """Have the transaction committed by the next statement, which is its last, where the driver's connection can.
        The end of the block commits it elsewhere."""
        commit_with_next(self.sync_connection)

    async def insert_many(self, insert: BulkInsert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows as part of this transaction, by a statement that is compiled once for all rows."""
        connection = self.sync_connection
        values = insert.values(connection.dialect, rows)
        await greenlet_spawn(connection.exec_driver_sql, insert.sql(connection.dialect), values)

    async def insert_many_later(self, insert: BulkInsert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows likewise, at the latest with the next statement of this transaction, or with its commit, which
        raises what this would."""
        await greenlet_spawn(self._inserted_later, insert, rows)

    def _inserted_later(self, insert: BulkInsert, rows: Sequence[Mapping[str, Any]]) -> None:
        connection = self.sync_connection
        values = insert.values(connection.dialect, rows)
        with put_off(connection):
            connection.exec_driver_sql(insert.sql(connection.dialect), values)

    @overload
    async def scalar(
        self, statement: TypedReturnsRows[Value], parameters: Parameters | None = None
    ) -> Value | None: ...

    @overload
    async def scalar(self, statement: Executable, parameters: Parameters | None = None) -> Any: ...

    async def scalar(self, statement: Executable, parameters: Parameters | None = None) -> Any:
        """Carry out a statement, and return the first value of its first row; None where it has none."""
        return (await self.execute(statement, parameters)).scalar()

    async def run_sync(self, work: Callable[[Connection, *Arguments], R], *arguments: *Arguments) -> R:
        """Call a function that uses SQLAlchemy's connection, and return its result."""
        return await greenlet_spawn(work, self.sync_connection, *arguments)

    async def get_raw_connection(self) -> PoolProxiedConnection:
        """Return the driver's connection as the pool holds it."""
        return await greenlet_spawn(getattr, self.sync_connection, "connection")

    async def commit(self) -> None:
        """Make what was done since the last commit lasting, and visible to other connections."""
        await greenlet_spawn(self.sync_connection.commit)

    async def rollback(self) -> None:
        """Undo what was done since the last commit."""
        await greenlet_spawn(self.sync_connection.rollback)

    async def close(self) -> None:
        """Give the connection back to the pool."""
        if self._connection is not None:
            await greenlet_spawn(self._connection.close)
