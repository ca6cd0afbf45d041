"""Implements SQL Server as a `TableDialect`: the driver in a thread, and rows as one JSON list for each statement.

A value of each row would soon be more than the 2,100 that a statement takes, so `OPENJSON` reads them from one text.
Some errors of a row end the transaction in SQL Server and others do not; `XACT_ABORT` makes all of them end it. What a
transaction did is therefore kept, and a savepoint is undone by a new transaction that does the same again. Where it
does not come to the same, because another transaction was quicker, all is done again."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import pytds

from loom_common.errors import DestinationError, LoomError
from loom_connectors.mssql import tables
from loom_connectors.mssql.address import NAMES
from loom_connectors.mssql.server import CONSTRAINTS, Connection, Server, is_of_a_row, meaning, number_of, words_of
from loom_connectors.mssql.statements import BINARY, literal, marker, name_list, quoted
from loom_connectors.mssql.widening import altered, wider
from loom_connectors.mssql.writing import texts_of, writer
from loom_connectors.ports.destination import Row
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.dialect import Rights, Target, Work
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.warehouse.dialect import WarehouseDialect
from loom_connectors.sql.warehouse.repeating_session import RepeatingSession
from loom_connectors.sql.warehouse.statements import ORDER, json_lists, merge_sql
from loom_connectors.values import UnfitValue, json_text

Result = TypeVar("Result")
_STATEMENT = 4 * 2**20
"""The most characters of rows in one statement."""


class MssqlSession(RepeatingSession):
    """Writes by a connection that is lent for the visit."""

    quoted = staticmethod(quoted)
    commit = "COMMIT TRANSACTION"
    rollback = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION"
    lost = (pytds.Error, OSError)
    _connection: Connection

    def _begin(self) -> None:
        self._connection.run("BEGIN TRANSACTION")
        super()._begin()

    def _goes_on_after(self, error: Exception) -> bool:
        return isinstance(error, UnfitValue | UnicodeEncodeError) or is_of_a_row(error)

    async def rights(self, table: TableName, mode: Mode) -> Rights:
        return tables.rights(self._connection, table, mode)

    async def columns(self, table: TableName) -> dict[str, str]:
        found = tables.columns_of_table(self._connection, table)
        return {each.name: each.declared for each in found if each.filled_in is None}

    async def types(self, table: TableName) -> dict[str, str]:
        found = tables.columns_of_table(self._connection, table)
        return {each.name: each.type for each in found if each.filled_in is None}

    async def computed(self, table: TableName) -> Mapping[str, str]:
        found = tables.columns_of_table(self._connection, table)
        return {each.name: each.filled_in for each in found if each.filled_in is not None}

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        return any(set(names) == set(key) for names, _ in tables.unique_keys(self._connection, table))

    async def create_ledger(self, ledger: TableName) -> None:
        self._changed(tables.ledger_sql(ledger))

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        self._changed(tables.table_sql(table, kinds, key))

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        there = {each.name.lower() for each in tables.columns_of_table(self._connection, table)}
        new = [tables.column_sql(name, kind) for name, kind in kinds.items() if name.lower() not in there]
        if new:
            self._changed(f"ALTER TABLE {tables.sql_name(table)} ADD {', '.join(new)}")

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        for column in tables.columns_of_table(self._connection, table):
            wanted = needs.get(column.name)
            if wanted is None or column.is_json or column.filled_in is not None:
                continue
            if (to := wider(column.type, wanted)) is not None:
                self._changed(f"ALTER TABLE {tables.sql_name(table)} {altered(column, to)}")

    async def create_like(self, staging: TableName, table: TableName) -> None:
        self._changed(tables.like_sql(self._connection, staging, table))

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        """The locks of `HOLDLOCK` reach over rows that are not there yet, so another transaction that enters one of the
        names is waited for."""
        name = tables.sql_name(ledger)
        given = "OPENJSON(@p2) WITH ([batch_id] NVARCHAR(200) '$[0]', [loaded] BIGINT '$[1]')"
        names = f"SELECT [batch_id] COLLATE {BINARY} AS [batch_id], [loaded] FROM {given}"
        listed = json_text([[each, rows] for each, rows in loaded.items()])
        there = self._connection.fetched(
            f"SELECT t.[batch_id] FROM {name} AS t WITH (UPDLOCK, HOLDLOCK) JOIN ({names}) AS s "
            "ON s.[batch_id] = t.[batch_id] WHERE t.[run_id] = @p1",
            [run_id, listed],
        )
        new = {each: rows for each, rows in loaded.items() if each not in {str(found) for (found,) in there}}
        if new:
            self._changed(
                f"INSERT INTO {name} ([run_id], [batch_id], [loaded], [failed]) "
                f"SELECT @p1, s.[batch_id], s.[loaded], N'[]' FROM ({names}) AS s",
                run_id,
                json_text([[each, rows] for each, rows in new.items()]),
            )
        return set(new)

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        columns = columns_of(rows)
        texts = texts_of(rows, columns, target.columns)
        numbered = ([*row, str(at)] for at, row in enumerate(texts))
        sql = _write_sql(target, columns)
        for part in json_lists(numbered, _STATEMENT):
            self._changed(sql, part)


def _write_sql(target: Target, columns: Sequence[str]) -> str:
    """Return the statement that inserts rows, or updates those whose key is there. Of rows with one key, the last
    counts. `HOLDLOCK` keeps another transaction from inserting a key between the look for it and the insert."""
    texts = ", ".join(f"c{at} NVARCHAR(MAX) '$[{at - 1}]'" for at in range(1, len(columns) + 1))
    given = f"OPENJSON(@p1) WITH ({texts}, {ORDER} INT '$[{len(columns)}]')"
    values = ", ".join(
        f"{writer(target.columns[name]).cast.format(f'c{at}')} AS {quoted(name)}" for at, name in enumerate(columns, 1)
    )
    rows = f"SELECT {values}, {ORDER} FROM {given}"
    table, names = tables.sql_name(target.table), name_list(columns)
    if not target.key:
        return f"INSERT INTO {table} ({names}) SELECT {names} FROM ({rows}) AS s ORDER BY {ORDER}"
    last = f"ROW_NUMBER() OVER (PARTITION BY {name_list(target.key)} ORDER BY {ORDER} DESC) AS loom_last"
    once = f"SELECT {names} FROM (SELECT {names}, {last} FROM ({rows}) AS r) AS q WHERE loom_last = 1"
    return merge_sql(target, columns, once, quoted).replace(" AS t USING", " WITH (HOLDLOCK) AS t USING", 1) + ";"


class MssqlDialect(WarehouseDialect[Server]):
    """Represents one database that is written."""

    errors = (pytds.Error, UnfitValue, UnicodeEncodeError)
    names = NAMES
    types = tables.TYPES

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return marker(number)

    def is_one_of(self, number: int) -> str:
        return f"IN (SELECT [name] COLLATE {BINARY} FROM OPENJSON({marker(number)}) WITH ([name] NVARCHAR(200) '$'))"

    def type_of(self, kind: Kind, *, in_key: bool = False) -> str:
        return tables.type_of(kind, in_key=in_key)

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        return f"CREATE UNIQUE INDEX {quoted(f'{table.name}_key')} ON {tables.sql_name(table)} ({name_list(key)})"

    def renamed(self, table: TableName, name: str) -> str:
        return f"EXEC sp_rename {literal(tables.sql_name(table))}, {literal(name)}"

    def _visit(self, work: Work[Result], seconds: float) -> Result:
        with self._server.connection(seconds) as connection:
            return finished(work(MssqlSession(connection)))

    def _meaning(self, error: Exception) -> LoomError | None:
        if not isinstance(error, pytds.Error) or is_of_a_row(error):
            return None
        return meaning(error, self._server.address.shown, DestinationError)

    def _is_of_a_constraint(self, error: Exception) -> bool:
        return number_of(error) in CONSTRAINTS

    def _sentence(self, error: Exception) -> str:
        return f"{words_of(error)}."
