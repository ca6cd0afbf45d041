"""Implements DuckDB as a `TableDialect`: its driver in a thread, one transaction at a time."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, TypeVar

import duckdb

from loom_common.errors import Conflict, DestinationError, PermanentError
from loom_connectors.duckdb import tables, widening
from loom_connectors.duckdb.file import DuckdbFile, meaning
from loom_connectors.duckdb.writing import columns_of_texts
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.dialect import Fault, Rights, Target, Work
from loom_connectors.sql.load_modes import Mode, replaces_view
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.sql.table_name import NameRules, TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.threads.file_dialect import FileDialect
from loom_connectors.storage.local import see_that_it_can_be_written
from loom_connectors.values import EMPTY_TEXT, UnfitValue

Result = TypeVar("Result")
_ROW_ERRORS = (
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    UnfitValue,
)
_ORDER = "loom_order"


class DuckdbSession:
    """Represents a connection to a DuckDB file. Its coroutines wait for nothing: they block.

    DuckDB has no savepoints, and an error ends its transaction. So what a transaction did is kept, and a savepoint is
    undone by a new transaction that does the same again, without what the savepoint did."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self._db = db
        self._done: list[tuple[str, tuple[object, ...]]] = []

    @asynccontextmanager
    async def transaction(self, statement_seconds: float | None = None) -> AsyncIterator[None]:  # `run` limits them all
        self._begin()
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        before = len(self._done)
        try:
            yield
        except BaseException:
            again = self._done[:before]
            self._rollback()
            self._begin()
            for sql, values in again:
                self._changed(sql, *values)
            raise

    async def execute(self, sql: str, *values: object) -> int:
        self._changed(sql, *values)
        found = self._db.fetchone() if self._db.description else None
        return int(found[0]) if found and isinstance(found[0], int) else 0

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        return self._db.execute(sql, list(values)).fetchall()

    async def rights(self, table: TableName, mode: Mode) -> Rights:  # a file is writable in every mode
        kind = tables.kind_of_table(self._db, table)
        if kind == "VIEW" and mode == "replace":
            raise replaces_view(str(table))
        return Rights(read_only=False, exists=kind is not None, may_write=True, may_create=True, may_alter=True)

    async def columns(self, table: TableName) -> dict[str, str]:
        return tables.columns_of_table(self._db, table)

    async def types(self, table: TableName) -> dict[str, str]:
        return tables.columns_of_table(self._db, table)

    async def computed(self, table: TableName) -> Mapping[str, str]:
        return {}  # DuckDB does not say which they are

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        return any(set(names) == set(key) for names in tables.unique_keys(self._db, table))

    async def create_ledger(self, ledger: TableName) -> None:
        self._changed(tables.ledger_sql(ledger))

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        self._changed(tables.table_sql(table, kinds, key))

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        for sql in widening.statements(table, kinds):
            self._changed(sql)

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        for sql in widening.widening(table, tables.columns_of_table(self._db, table), needs):
            self._changed(sql)

    async def create_like(self, staging: TableName, table: TableName) -> None:
        for sql in tables.like_sql(self._db, staging, table):
            self._changed(sql)

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        sql = (
            f"INSERT INTO {ledger.sql} (run_id, batch_id, loaded, failed) "
            "SELECT $1, unnest($2::VARCHAR[]), unnest($3::BIGINT[]), '[]' ON CONFLICT DO NOTHING RETURNING batch_id"
        )
        self._changed(sql, run_id, list(loaded), list(loaded.values()))
        return {str(name) for (name,) in self._db.fetchall()}

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        columns = columns_of(rows)
        casts, texts = columns_of_texts(rows, columns, target.columns)
        self._changed(_insert_sql(target, columns, casts), *texts, list(range(len(rows))))

    async def copy_rows(self, source: TableName, target: TableName) -> None:
        names = name_list(list(await self.columns(source)))
        self._changed(f"INSERT INTO {target.sql} ({names}) SELECT {names} FROM {source.sql}")

    def _changed(self, sql: str, *values: object) -> None:
        self._db.execute(sql, list(values))
        self._done.append((sql, values))

    def _begin(self) -> None:
        self._done = []
        self._db.execute("BEGIN")

    def _rollback(self) -> None:
        with suppress(duckdb.TransactionException):  # a commit that failed has ended it
            self._db.execute("ROLLBACK")


def _insert_sql(target: Target, columns: Sequence[str], casts: Sequence[str]) -> str:
    """Return the statement that inserts rows, given as a list of texts for each column and a list of their numbers."""
    texts = [f"unnest(${at}::VARCHAR[]) AS c{at}" for at in range(1, len(columns) + 1)]
    texts.append(f"unnest(${len(columns) + 1}::BIGINT[]) AS {_ORDER}")
    values = ", ".join(
        f"{cast.format(f'c{at}')} AS {quoted(name)}"
        for at, (name, cast) in enumerate(zip(columns, casts, strict=True), 1)
    )
    names = name_list(columns)
    rows = f"SELECT {values}, {_ORDER} FROM (SELECT {', '.join(texts)})"
    sql = f"INSERT INTO {target.table.sql} ({names}) SELECT {names} FROM ({rows})"
    if not target.key:
        return f"{sql} ORDER BY {_ORDER}"
    key = name_list(target.key)
    changed = ", ".join(f"{quoted(each)} = excluded.{quoted(each)}" for each in columns if each not in target.key)
    last = f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {_ORDER} DESC) = 1 ORDER BY {_ORDER}"
    return f"{sql} {last} ON CONFLICT ({key}) DO {f'UPDATE SET {changed}' if changed else 'NOTHING'}"


class DuckdbDialect(FileDialect[DuckdbFile]):
    """Represents one DuckDB file that is written."""

    errors = (duckdb.Error, UnfitValue, UnicodeEncodeError)
    names = NameRules("DuckDB", folds_case=True)
    types = tables.TYPES

    def fault(self, error: Exception) -> Fault:
        if isinstance(error, _ROW_ERRORS) or not isinstance(error, duckdb.Error):
            return Fault.ROW
        passes = not isinstance(meaning(error, self.shown, DestinationError), PermanentError)
        return Fault.TRANSIENT if passes else Fault.DESTINATION

    def failed_row(self, row: Row, error: Exception) -> FailedRow:
        code = "constraint" if isinstance(error, duckdb.ConstraintException) else "type"
        words = str(error).strip().partition("\n")[0]
        if isinstance(error, duckdb.InvalidInputException | UnicodeEncodeError):
            words = f"{words} A text holds half a surrogate pair, which is no character."
        hint = EMPTY_TEXT if code == "type" and "" in row.values.values() else ""
        return FailedRow(row.record_id, code, f"{words}{hint}")

    def marker(self, number: int) -> str:
        return f"${number}"

    def is_one_of(self, number: int) -> str:
        return f"IN (SELECT unnest(${number}::VARCHAR[]))"

    def name_list(self, names: Sequence[str]) -> list[str]:
        return list(names)

    def _run(self, work: Work[Result], seconds: float) -> Result:
        """Do the work, again and again while other transactions are in its way."""
        until = time.monotonic() + seconds
        while True:
            try:
                with self._file.lent(max(until - time.monotonic(), 0.01), writes=True) as db:
                    return finished(work(DuckdbSession(db)))
            except Conflict:
                if time.monotonic() > until:
                    raise
            time.sleep(random.uniform(0.001, 0.02))  # noqa: S311  # no secret

    def _look(self, work: Work[Result]) -> Result:
        """Look in an empty database where the file is missing: opening it for writing would create it."""
        see_that_it_can_be_written(self._file.path)
        if self._file.path.exists():
            with self._file.lent(self._file.timeouts.query, writes=False) as db:
                return finished(work(DuckdbSession(db)))
        with closing(duckdb.connect(":memory:")) as db:
            return finished(work(DuckdbSession(db)))
