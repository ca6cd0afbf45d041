"""Implements SQLite as a `TableDialect`: the standard library's driver in a thread, one transaction at a time."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any, TypeVar

from loom_common.errors import DestinationError, PermanentError
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.dialect import Fault, Rights, Target, Work
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.parameters import name_list
from loom_connectors.sql.table_name import NameRules, TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.threads.file_dialect import FileDialect
from loom_connectors.sqlite import tables, widening
from loom_connectors.sqlite.file import SqliteFile, meaning
from loom_connectors.sqlite.values import binder
from loom_connectors.storage.local import see_that_it_can_be_written
from loom_connectors.values import EMPTY_TEXT, UnfitValue, bound_values, json_text

Result = TypeVar("Result")
_VALUES_AT_ONCE = 1_000
"""The number of values of one statement: each statement waits once for the interpreter's lock. More bring nothing."""
_ROW_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
    UnfitValue,
)


class SqliteSession:
    """Represents a connection to a SQLite file. Its coroutines wait for nothing: they block."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @asynccontextmanager
    async def transaction(self, statement_seconds: float | None = None) -> AsyncIterator[None]:  # `run` limits them all
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        self._db.execute("SAVEPOINT loom_rows")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO loom_rows")
            raise
        finally:
            if self._db.in_transaction:
                self._db.execute("RELEASE loom_rows")

    async def execute(self, sql: str, *values: object) -> int:
        return self._db.execute(sql, values).rowcount

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        return self._db.execute(sql, values).fetchall()

    async def rights(self, table: TableName, mode: Mode) -> Rights:  # a file is writable in every mode
        exists = bool(await self.columns(table))
        if exists and mode == "replace":
            tables.statement_of(self._db, table.name)
        return Rights(read_only=False, exists=exists, may_write=True, may_create=True, may_alter=True)

    async def columns(self, table: TableName) -> dict[str, str]:
        return tables.columns_of_table(self._db, table.name)

    async def types(self, table: TableName) -> dict[str, str]:
        return tables.columns_of_table(self._db, table.name)

    async def computed(self, table: TableName) -> Mapping[str, str]:
        return tables.computed_columns(self._db, table.name)

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        return any(set(names) == set(key) for names in tables.unique_keys(self._db, table.name))

    async def create_ledger(self, ledger: TableName) -> None:
        tables.create_ledger(self._db, ledger.name)

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        tables.create_table(self._db, table.name, kinds, key)

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        widening.add_columns(self._db, table.name, kinds)

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        widening.widen(self._db, table.name, needs)

    async def create_like(self, staging: TableName, table: TableName) -> None:
        tables.create_like(self._db, staging.name, table.name)

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        sql = (
            f"INSERT INTO {ledger.sql} (run_id, batch_id, loaded, failed) "
            "SELECT ?1, key, value, '[]' FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING RETURNING batch_id"
        )
        return {name for (name,) in await self.fetch(sql, run_id, json_text(dict(loaded)))}

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        columns = columns_of(rows)
        binders = [(name, binder(target.columns[name])) for name in columns]
        values = bound_values([row.values for row in rows], binders)
        width = len(columns)
        first, end = 0, len(values)
        for size in _sizes(width, self._db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)):
            each = size * width
            last = end - (end - first) % each
            if last > first:
                sql = tables.insert_sql(target.table.sql, columns, target.key, size)
                self._db.executemany(sql, (values[at : at + each] for at in range(first, last, each)))
                first = last

    async def copy_rows(self, source: TableName, target: TableName) -> None:
        names = name_list(list(await self.columns(source)))
        await self.execute(f"INSERT INTO {target.sql} ({names}) SELECT {names} FROM {source.sql}")


class SqliteDialect(FileDialect[SqliteFile]):
    """Represents one SQLite file that is written."""

    errors = (sqlite3.Error, OverflowError, UnicodeEncodeError, UnfitValue)
    names = NameRules("SQLite", folds_case=True)
    types = tables.TYPES

    def fault(self, error: Exception) -> Fault:
        if isinstance(error, _ROW_ERRORS):
            return Fault.ROW
        if not isinstance(error, sqlite3.Error):
            return Fault.DESTINATION
        passes = not isinstance(meaning(error, self.shown, DestinationError), PermanentError)
        return Fault.TRANSIENT if passes else Fault.DESTINATION

    def failed_row(self, row: Row, error: Exception) -> FailedRow:
        name = getattr(error, "sqlite_errorname", "")
        constraint = name.startswith("SQLITE_CONSTRAINT") and name != "SQLITE_CONSTRAINT_DATATYPE"
        return FailedRow(row.record_id, "constraint" if constraint else "type", _reason(error, row))

    def marker(self, number: int) -> str:
        return f"?{number}"

    def is_one_of(self, number: int) -> str:
        return f"IN (SELECT value FROM json_each(?{number}))"

    def name_list(self, names: Sequence[str]) -> str:
        return json_text(list(names))

    def _run(self, work: Work[Result], seconds: float) -> Result:
        with self._file.writer(seconds) as db:
            return finished(work(SqliteSession(db)))

    def _look(self, work: Work[Result]) -> Result:
        """Look in an empty database where the file is missing: opening it for writing would create it."""
        see_that_it_can_be_written(self._file.path)
        there = self._file.path.exists()
        with closing(self._file.opened_to_read() if there else sqlite3.connect(":memory:")) as db, self._file.trouble():
            return finished(work(SqliteSession(db)))


def _sizes(width: int, most_values: int) -> Iterator[int]:
    """Yield how many rows of so many columns a statement has: as many as may be, then fewer for those that are left,
    and one at last."""
    size = max(1, min(_VALUES_AT_ONCE, most_values) // width)
    while size > 1:
        yield size
        size //= 5
    yield 1


def _reason(error: Exception, row: Row) -> str:
    if not isinstance(error, UnicodeEncodeError):
        misfit = "cannot store TEXT value" in str(error) and "" in row.values.values()
        return f"{error}.{EMPTY_TEXT}" if misfit else str(error)
    column = next((name for name, value in row.values.items() if isinstance(value, str) and not _is_unicode(value)), "")
    return f"column {column}: the text holds half a surrogate pair, which is no character."


def _is_unicode(text: str) -> bool:
    return text == text.encode(errors="replace").decode()
