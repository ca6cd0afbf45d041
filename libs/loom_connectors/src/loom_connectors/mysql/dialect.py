"""Implements MySQL and MariaDB as a `TableDialect`: the driver in a thread, and rows in statements of many.

A statement that creates, renames or removes a table commits the transaction that it stands in. So tables are created on
a connection of their own, and what replaces rows removes its staging table last."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import pymysql

from loom_common.errors import Conflict, DestinationError, PermanentError
from loom_connectors.mysql import tables, widening
from loom_connectors.mysql.address import NAMES
from loom_connectors.mysql.server import CONSTRAINTS, ROWS, Server, meaning, number_of, words_of
from loom_connectors.mysql.statements import Markers, literal, literals, name_list, quoted
from loom_connectors.mysql.writing import binder
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.dialect import Fault, Rights, Target, Work
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.values import EMPTY_TEXT, UnfitValue, bound_rows

Result = TypeVar("Result")
_TRIES = 5
"""Says how often a transaction is tried that others are in the way of."""
_PACKET = 4 * 2**20
"""The most characters of a statement with several rows. A server takes 16 MiB, unless it is told otherwise."""


class MysqlSession:
    """Represents a connection that writes. Its coroutines wait for nothing: they block."""

    def __init__(
        self,
        connection: tables.Connection,
        markers: Markers,
        beside: Callable[[], AbstractContextManager[tables.Connection]],
    ) -> None:
        """`beside` lends another connection, for what would commit the transaction of this one."""
        self._connection = connection
        self._markers = markers
        self._beside = beside

    @asynccontextmanager
    async def transaction(self, statement_seconds: float | None = None) -> AsyncIterator[None]:  # `run` limits them all
        try:
            yield
            self._connection.commit()
        except BaseException:
            with suppress(pymysql.MySQLError):  # the connection may be lost
                self._connection.rollback()
            raise

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        self._run("SAVEPOINT loom_rows")
        try:
            yield
        except UnfitValue:
            self._run("ROLLBACK TO SAVEPOINT loom_rows")
            raise
        except pymysql.MySQLError as error:
            if number_of(error) in ROWS:  # others may have ended the transaction
                self._run("ROLLBACK TO SAVEPOINT loom_rows")
            raise

    async def execute(self, sql: str, *values: object) -> int:
        return self._run(self._markers.filled(self._connection, sql, values))

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(self._markers.filled(self._connection, sql, values))
            return cursor.fetchall()

    async def rights(self, table: TableName, mode: Mode) -> Rights:
        return tables.rights(self._connection, table, mode)

    async def columns(self, table: TableName) -> dict[str, str]:
        with self._alone(table) as connection:
            return tables.columns_of_table(connection, table)

    async def types(self, table: TableName) -> dict[str, str]:
        return await self.columns(table)

    async def computed(self, table: TableName) -> Mapping[str, str]:
        with self._alone(table) as connection:
            return tables.computed_columns(connection, table)

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        with self._alone(table) as connection:
            return any(set(names) == set(key) for names in tables.unique_keys(connection, table))

    async def create_ledger(self, ledger: TableName) -> None:
        if not tables.columns_of_table(self._connection, ledger):
            self._create(tables.ledger_sql(ledger))

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        self._create(tables.table_sql(self._connection, table, kinds, key))

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        with self._beside() as connection:
            widening.add_columns(connection, table, kinds)

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        with self._beside() as connection:
            widening.widen(connection, table, needs)

    async def create_like(self, staging: TableName, table: TableName) -> None:
        if not tables.columns_of_table(self._connection, staging):
            self._create(tables.like_sql(staging, table))

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        """MySQL does not tell which rows an insert has left out, so those that are there are left out before; where
        another transaction was quicker, all is done again."""
        name = ledger.quoted_by(quoted)
        while True:
            sql = f"SELECT batch_id FROM {name} WHERE run_id = %s AND batch_id IN %s"
            with self._connection.cursor() as cursor:
                cursor.execute(sql, (run_id, tuple(loaded) or ("",)))
                there = {str(each) for (each,) in cursor.fetchall()}
            new = [each for each in loaded if each not in there]
            if not new:
                return set()
            rows = ", ".join(literals(self._connection, ([run_id, each, loaded[each], "[]"] for each in new)))
            self._run("SAVEPOINT loom_entries")
            sql = f"INSERT IGNORE INTO {name} (run_id, batch_id, loaded, failed) VALUES {rows}"
            if self._run(sql) == len(new):
                return set(new)
            self._run("ROLLBACK TO SAVEPOINT loom_entries")

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        columns = columns_of(rows)
        binders = [(name, binder(target.columns[name])) for name in columns]
        bound = bound_rows([row.values for row in rows], binders)
        if target.key and len(tables.unique_keys(self._connection, target.table)) > 1:
            self._update_or_insert(target, columns, bound)
            return
        changed = [name for name in columns if name not in target.key] or columns[:1]
        end = ", ".join(f"{quoted(name)} = VALUES({quoted(name)})" for name in changed) if target.key else ""
        self._insert(target, columns, bound, f" ON DUPLICATE KEY UPDATE {end}" if end else "")

    async def copy_rows(self, source: TableName, target: TableName) -> None:
        names = name_list(list(await self.columns(source)))
        self._run(f"INSERT INTO {target.quoted_by(quoted)} ({names}) SELECT {names} FROM {source.quoted_by(quoted)}")

    def _insert(self, target: Target, columns: Sequence[str], rows: Sequence[Sequence[Any]], end: str) -> None:
        start = f"INSERT INTO {target.table.quoted_by(quoted)} ({name_list(columns)}) VALUES "
        for part in _in_packets(literals(self._connection, rows)):
            self._run(f"{start}{', '.join(part)}{end}")

    def _update_or_insert(self, target: Target, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Update the row with the key, or insert one. `ON DUPLICATE KEY` would update a row by any unique index."""
        table = target.table.quoted_by(quoted)
        for row in rows:
            given = {name: literal(self._connection, value) for name, value in zip(columns, row, strict=True)}
            changed = ", ".join(f"{quoted(name)} = {value}" for name, value in given.items() if name not in target.key)
            where = " AND ".join(f"{quoted(name)} = {given[name]}" for name in target.key)
            first = quoted(target.key[0])
            if not self._run(f"UPDATE {table} SET {changed or f'{first} = {first}'} WHERE {where}"):
                self._insert(target, columns, [row], "")

    @contextmanager
    def _alone(self, table: TableName) -> Iterator[tables.Connection]:
        """Lend a connection that sees the table while no other loader alters it."""
        with self._beside() as connection, widening.alone(connection, table):
            yield connection

    def _create(self, sql: str) -> None:
        with self._beside() as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    def _run(self, sql: str) -> int:
        with self._connection.cursor() as cursor:
            return cursor.execute(sql)


def _in_packets(rows: Iterator[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for row in rows:
        if part and size + len(row) > _PACKET:
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row)
    if part:
        yield part


class MysqlDialect:
    """Represents one database that is written."""

    errors = (pymysql.MySQLError, UnfitValue, UnicodeEncodeError)
    names = NAMES
    one_writes = False

    def __init__(self, server: Server) -> None:
        self._server = server
        self._markers = Markers()

    @property
    def shown(self) -> str:
        return self._server.address.shown

    def fault(self, error: Exception) -> Fault:
        if not isinstance(error, pymysql.MySQLError) or number_of(error) in ROWS:
            return Fault.ROW
        passes = not isinstance(meaning(error, self.shown, DestinationError), PermanentError)
        return Fault.TRANSIENT if passes else Fault.DESTINATION

    def failed_row(self, row: Row, error: Exception) -> FailedRow:
        if isinstance(error, UnicodeEncodeError):
            return FailedRow(row.record_id, "type", "A text holds half a surrogate pair, which is no character.")
        code = "constraint" if number_of(error) in CONSTRAINTS else "type"
        hint = EMPTY_TEXT if code == "type" and "" in row.values.values() else ""
        return FailedRow(row.record_id, code, f"{words_of(error)}.{hint}")

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return self._markers.marker(number)

    def is_one_of(self, number: int) -> str:
        return f"IN {self.marker(number)}"

    def name_list(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(names) or ("",)

    def type_of(self, kind: Kind, *, in_key: bool = False) -> str:
        return tables.type_of(kind, in_key=in_key)

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        return f"CREATE UNIQUE INDEX {quoted(f'{table.name}_key')} ON {table.quoted_by(quoted)} ({name_list(key)})"

    def renamed(self, table: TableName, name: str) -> str:
        return f"ALTER TABLE {table.quoted_by(quoted)} RENAME TO {table.beside(name).quoted_by(quoted)}"

    async def run(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(self._run, work, seconds)

    async def look(self, work: Work[Result]) -> Result:
        return await asyncio.to_thread(self._done, work, self._server.timeouts.query)

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    def _run(self, work: Work[Result], seconds: float) -> Result:
        """Do the work, a few times while other transactions are in its way."""
        for left in reversed(range(_TRIES)):
            try:
                return self._done(work, seconds)
            except Conflict:
                if not left:
                    raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311  # no secret
        raise AssertionError

    def _done(self, work: Work[Result], seconds: float) -> Result:
        with self._server.connection(seconds) as connection:
            connection.rollback()  # a look at tables has begun a transaction
            return finished(work(MysqlSession(connection, self._markers, lambda: self._server.connection(seconds))))
