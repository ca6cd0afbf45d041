"""Connects SQLAlchemy's asyncio engine to a SQLite file with one visit to the connection's thread per statement.

The driver works in a thread of its own. `aiosqlite` goes there to make a cursor, to execute, to fetch and to close the
cursor, and both threads wait for the interpreter's lock each time, which costs more than most statements do. Here a
statement and its rows are one visit, a `BEGIN` goes there with the statement after it, a commit goes there with the
statement before it where that is known to be the last one, and a commit or rollback is no visit where no transaction is
open. A statement whose result nobody asks for goes there with what comes after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiosqlite

Parameters = Sequence[Any]


class Executed(NamedTuple):
    """Holds what the driver's cursor knows after a statement."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None
    rows: Sequence[Any] = ()


class StatementCursor:
    """Carries out statements, and keeps all rows of the last one."""

    arraysize = 1

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self._executed = Executed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def description(self) -> Any:
        """Return the columns of the rows; None after a statement that gives none."""
        return self._executed.description

    @property
    def rowcount(self) -> int:
        """Return how many rows were changed; -1 where that is not known."""
        return self._executed.rowcount

    @property
    def lastrowid(self) -> int | None:
        """Return the id of the row that was inserted last."""
        return self._executed.lastrowid

    async def execute(self, sql: str, parameters: Parameters = ()) -> Self:
        """Carry out a statement and take its rows. A `BEGIN` is carried out with the statement after it."""
        if sql.startswith("BEGIN"):
            self._connection.begin_with_next(sql)
        else:
            self._executed = await self._connection.visit(lambda db: _executed(db.execute(sql, parameters)))
        return self

    async def executemany(self, sql: str, parameters: Sequence[Parameters]) -> Self:
        """Carry out a statement once for each of `parameters`."""
        self._executed = await self._connection.visit(lambda db: _executed(db.executemany(sql, parameters)))
        return self

    async def fetchall(self) -> Sequence[Any]:
        """Return the rows that a statement gave."""
        return self._executed.rows

    async def close(self) -> None:
        """Do nothing: the driver's cursor was closed after its statement."""


class SqliteConnection(aiosqlite.Connection):
    """Represents a connection whose thread is visited once for each statement."""

    _begun = 0
    _ended = 0
    _in_transaction = False
    _beginning: str | None = None
    _committing = False
    puts_off = False
    """Tells whether statements are put off until the next one for which this is not said, or until the commit. Whoever
    asks for that gets their errors, and nobody gets their results."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._put_off: list[Callable[[sqlite3.Connection], Executed]] = []

    @classmethod
    async def opened(cls, database: str, **settings: Any) -> Self:
        """Open `database` with settings of `sqlite3.connect`. SQLAlchemy takes this as `async_creator_fn` of
        `connect_args`."""
        connection = cls(lambda: sqlite3.connect(database, **settings), iter_chunk_size=64)
        connection._thread.daemon = True
        await connection
        return connection

    def cursor(self) -> StatementCursor:  # type: ignore[override]  # not awaited, as SQLAlchemy wants it
        """Return a cursor, which carries out its statements in the thread of the connection."""
        return StatementCursor(self)

    def begin_with_next(self, sql: str) -> None:
        """Begin a transaction by `sql` as soon as there is something to do in it. Whoever does it gets the error where
        it cannot begin."""
        self._beginning = sql

    def commit_with_next(self) -> None:
        """Commit the transaction in the visit that carries out the next statement. Whoever does it gets the error where
        that is not possible."""
        self._committing = True

    async def visit(self, work: Callable[[sqlite3.Connection], Executed]) -> Executed:
        """Do `work` in the connection's thread, now or later."""
        if self.puts_off:
            self._put_off.append(work)
            return Executed()
        return await self._in_thread(self._step(work))

    def _step(self, work: Callable[[sqlite3.Connection], Executed]) -> Callable[[], Executed]:
        """Return what does `work`, after the transaction is begun and statements before it are carried out, and before
        it is committed, as far as that was put off. It may be called again where all that it did was rolled back."""
        beginning, self._beginning = self._beginning, None
        committing, self._committing = self._committing, False
        before, self._put_off = self._put_off, []

        def step() -> Executed:
            try:
                if beginning is not None:
                    self._conn.execute(beginning)
                for each in before:
                    each(self._conn)
                executed = work(self._conn)
                if committing:
                    self._conn.commit()
                return executed
            finally:
                self._in_transaction = self._conn.in_transaction

        return step

    async def _in_thread(self, step: Callable[[], Executed]) -> Executed:
        def visited() -> Executed:
            try:
                return step()
            finally:
                self._ended += 1

        self._begun += 1
        executed: Executed = await self._execute(visited)  # type: ignore[no-untyped-call]  # it names no types
        return executed

    async def commit(self) -> None:
        """Carry out what was put off, and commit the transaction, if one is open."""
        self._committing = False
        if not self._put_off:
            self._beginning = None
        if self._put_off or self._may_be_in_transaction():
            await self.visit(_committed)

    async def rollback(self) -> None:
        """Forget what was put off, and roll the transaction back, if one is open."""
        self._put_off = []
        self._beginning, self._committing = None, False
        if self._may_be_in_transaction():
            await self.visit(_rolled_back)

    def _may_be_in_transaction(self) -> bool:
        """Tell whether a transaction is open, or a statement may yet open one: who awaited it was cancelled."""
        return self._in_transaction or self._begun != self._ended


def _executed(cursor: sqlite3.Cursor) -> Executed:
    try:
        rows = cursor.fetchall() if cursor.description else ()
        return Executed(cursor.description, cursor.rowcount, cursor.lastrowid, rows)
    finally:
        cursor.close()


def _committed(db: sqlite3.Connection) -> Executed:
    db.commit()
    return Executed()


def _rolled_back(db: sqlite3.Connection) -> Executed:
    db.rollback()
    return Executed()
