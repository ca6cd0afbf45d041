"""Implements Snowflake as a `TableDialect`: the driver in a thread, and rows as one JSON list for each statement.

Snowflake checks no primary key, has no savepoints, and commits a transaction in which a table is created or altered.
So the load ledger is locked by an update of one of its rows, and what a transaction did is kept: a savepoint is undone,
and a table is altered, by a new transaction that does the same again. Where it does not come to the same, because
another transaction was quicker, all is done again."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import snowflake.connector as driver

from loom_common.errors import Conflict, DestinationError, LoomError
from loom_connectors.ports.destination import Row
from loom_connectors.snowflake import tables
from loom_connectors.snowflake.address import NAMES
from loom_connectors.snowflake.server import Connection, Server, is_of_a_null, is_of_a_row, meaning, words_of
from loom_connectors.snowflake.statements import flattened, marker, name_list, quoted
from loom_connectors.snowflake.widening import wider
from loom_connectors.snowflake.writing import texts_of, writer
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.dialect import Target, Work
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.warehouse import statements
from loom_connectors.sql.warehouse.dialect import WarehouseDialect
from loom_connectors.sql.warehouse.repeating_session import RepeatingSession
from loom_connectors.sql.warehouse.statements import ORDER, json_lists, merge_sql
from loom_connectors.values import UnfitValue, json_text

Result = TypeVar("Result")
_STATEMENT = 2 * 2**20
"""The most characters of rows in one statement."""


class SnowflakeSession(RepeatingSession):
    """Writes by a connection that is lent for the visit. The first statement that changes rows begins a transaction."""

    quoted = staticmethod(quoted)
    commit = "COMMIT"
    rollback = "ROLLBACK"
    lost = (driver.Error,)
    _connection: Connection

    def _goes_on_after(self, error: Exception) -> bool:
        return isinstance(error, UnfitValue | driver.Error)

    async def columns(self, table: TableName) -> dict[str, str]:
        return tables.columns_of_table(self._connection, table)

    async def create_ledger(self, ledger: TableName) -> None:
        if not tables.columns_of_table(self._connection, ledger):
            self._altered([tables.ledger_sql(ledger)])

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        self._altered([tables.table_sql(table, kinds, key)])

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        self._altered(statements.adding(table, kinds, tables.TYPES, quoted))

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        self._altered(statements.widening(table, await self.columns(table), needs, wider, quoted))

    async def create_like(self, staging: TableName, table: TableName) -> None:
        if not tables.columns_of_table(self._connection, staging):
            self._altered([statements.like_sql(staging, table, quoted)])

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        name = ledger.quoted_by(quoted)
        run, batch = quoted("run_id"), quoted("batch_id")
        lock = f"UPDATE {name} SET {quoted('loaded')} = 0 WHERE {run} = '' AND {batch} = '{tables.LOCK}'"
        if not self._changed(lock):
            raise DestinationError(
                f"The load ledger {ledger} lacks the row that is locked before a batch is entered, so nothing can be "
                f"loaded beside it. Loom makes it with the table. Was it deleted? Enter it again: INSERT INTO {name} "
                f"SELECT '', '{tables.LOCK}', 0, '[]', CURRENT_TIMESTAMP()."
            )
        entered = f"SELECT {batch} FROM {name} WHERE {run} = {marker(1)}"
        names = f"{entered} AND {batch} IN (SELECT CAST(f.value AS VARCHAR) FROM {flattened(2)})"
        there = {str(each) for (each,) in self._connection.fetched(names, [run_id, json_text(list(loaded))])}
        new = {each: rows for each, rows in loaded.items() if each not in there}
        if new:
            columns = name_list(["run_id", "batch_id", "loaded", "failed", "loaded_at"])
            inserted = self._changed(
                f"INSERT INTO {name} ({columns}) SELECT {marker(1)}, c1, CAST(c2 AS NUMBER(38,0)), '[]', "
                f"CAST(CURRENT_TIMESTAMP() AS TIMESTAMP_LTZ) FROM ({_texts(2, number=2)}) "
                f"WHERE c1 NOT IN ({entered})",
                run_id,
                json_text([[each, str(rows)] for each, rows in new.items()]),
            )
            if inserted != len(new):
                raise Conflict("Another transaction has entered the same batches into the load ledger.")
        return set(new)

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        columns = columns_of(rows)
        texts = texts_of(rows, columns, target.columns)
        sql = _write_sql(target, columns)
        for part in json_lists(texts, _STATEMENT):
            self._changed(sql, part)

    def _altered(self, statements: Sequence[str] | Iterator[str]) -> None:
        """Run statements that commit, beside what the transaction did."""
        wanted = list(statements)
        if not wanted:
            return
        done = self._done
        if done is not None:
            self._connection.run(self.rollback)
        for sql in wanted:
            self._connection.run(sql)
        if done is not None:
            self._repeat(done)


def _texts(columns: int, *, number: int) -> str:
    """Return the query of the texts `c1`, `c2` and so on of the rows that are bound, and of their numbers."""
    texts = ", ".join(f"CAST(f.value[{at}] AS VARCHAR) AS c{at + 1}" for at in range(columns))
    return f"SELECT {texts}, f.index AS {ORDER} FROM {flattened(number)}"


def _write_sql(target: Target, columns: Sequence[str]) -> str:
    """Return the statement that inserts rows, or updates those whose key is there. Of rows with one key, the last
    counts."""
    values = ", ".join(
        f"{writer(target.columns[name]).cast.format(f'c{at}')} AS {quoted(name)}" for at, name in enumerate(columns, 1)
    )
    rows = f"SELECT {values}, {ORDER} FROM ({_texts(len(columns), number=1)})"
    table, names = target.table.quoted_by(quoted), name_list(columns)
    if not target.key:
        return f"INSERT INTO {table} ({names}) SELECT {names} FROM ({rows})"
    last = f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {name_list(target.key)} ORDER BY {ORDER} DESC) = 1"
    return merge_sql(target, columns, f"SELECT * FROM ({rows}) {last}", quoted)


class SnowflakeDialect(WarehouseDialect[Server]):
    """Represents one schema that is written."""

    errors = (driver.Error, UnfitValue, UnicodeEncodeError)
    names = NAMES
    types = tables.TYPES

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return marker(number)

    def is_one_of(self, number: int) -> str:
        return f"IN (SELECT CAST(f.value AS VARCHAR) FROM {flattened(number)})"

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        return f"ALTER TABLE {table.quoted_by(quoted)} ADD PRIMARY KEY ({name_list(key)})"

    def renamed(self, table: TableName, name: str) -> str:
        return f"ALTER TABLE {table.quoted_by(quoted)} RENAME TO {table.beside(name).quoted_by(quoted)}"

    def _visit(self, work: Work[Result], seconds: float) -> Result:
        with self._server.connection(seconds) as connection:
            return finished(work(SnowflakeSession(connection)))

    def _meaning(self, error: Exception) -> LoomError | None:
        if not isinstance(error, driver.Error) or is_of_a_row(error):
            return None
        return meaning(error, self._server.address, DestinationError)

    def _is_of_a_constraint(self, error: Exception) -> bool:
        return is_of_a_null(error)

    def _sentence(self, error: Exception) -> str:
        return f"{words_of(error)}."
