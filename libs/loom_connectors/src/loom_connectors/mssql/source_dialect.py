"""Implements SQL Server as a `SourceDialect`: the driver in a thread, one page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from loom_common.errors import SourceError
from loom_connectors.mssql import reading, tables
from loom_connectors.mssql.reading import BYTES, DECIMALS, FLOATS, LONG, TEXTS, TIMES, base_of
from loom_connectors.mssql.server import Connection, Server
from loom_connectors.mssql.statements import marker, quoted
from loom_connectors.sql.reading.mark import MarkColumn
from loom_connectors.sql.reading.source_dialect import Order, ReadColumn, Work
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.warehouse.source_dialect import WarehouseSourceDialect, WarehouseSourceSession

Result = TypeVar("Result")


class MssqlSourceSession(WarehouseSourceSession):
    """Asks one database by a connection that is lent for the visit."""

    def __init__(self, connection: Connection, shown: str, table: TableName | None) -> None:
        super().__init__(shown)
        self._connection = connection
        self._table = table

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        """The server says the columns of a query without running it."""
        rows = self._connection.fetched(
            "SELECT name, system_type_name, error_message FROM sys.dm_exec_describe_first_result_set(@p1, @p2, 0) "
            "ORDER BY column_ordinal",
            [query, self._connection.declared(values)],
        )
        if wrong := next((str(words) for _, _, words in rows if words), None):
            raise SourceError(f"{self._shown}: {wrong.rstrip('.')}.")
        if any(name is None for name, _, _ in rows):
            raise SourceError(f"{self._shown}: a column of extract.query has no name. Give it one: AS name.")
        known = tables.columns_of_table(self._connection, self._table) if self._table else []
        json = {each.name for each in known if each.is_json}
        return [reading.read_column(str(name), str(kind), is_json=name in json) for name, kind, _ in rows]

    async def order(self, table: TableName) -> Order | None:
        await super().order(table)
        keys = [names for names, nullable in tables.unique_keys(self._connection, table) if not nullable]
        return Order(keys[0]) if keys else None

    async def is_unique(self, table: TableName, keys: Sequence[str]) -> bool:
        found = tables.unique_keys(self._connection, table)
        return any(set(names) <= set(keys) for names, nullable in found if not nullable)

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._connection.fetched(sql, values)

    def _is_there(self, table: TableName) -> bool:
        return bool(tables.columns_of_table(self._connection, table))


class MssqlSourceDialect(WarehouseSourceDialect[Server]):
    """Represents one database that is read."""

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return marker(number)

    def limited(self, rows: int) -> str:
        return f"OFFSET 0 ROWS FETCH NEXT {rows} ROWS ONLY"

    def row_text(self, row: str, names: Sequence[str]) -> str:
        """Return the hash of the bytes of all values."""
        parts = [
            f"COALESCE(CONVERT(NVARCHAR(MAX), CAST({row}.{quoted(name)} AS VARBINARY(MAX)), 2), N'N')" for name in names
        ]
        between = ", N'|', "
        return f"CONVERT(NVARCHAR(64), HASHBYTES('SHA2_256', CONCAT({between.join(parts)}, N'')), 2)"

    def key(self, column: ReadColumn, sql: str) -> str:
        if column.type == "bit":
            return f"CAST({sql} AS INT)"
        return f"CAST({sql} AS NVARCHAR(MAX))" if base_of(column.type) in LONG else sql

    def key_form(self, column: ReadColumn, sql: str) -> str:
        base = base_of(column.type)
        if base in BYTES:
            return f"CONVERT(NVARCHAR(MAX), CAST({sql} AS VARBINARY(MAX)), 2)"
        if base in TIMES:
            return reading.time_text(sql)
        if base in DECIMALS:
            return reading.decimal_text(sql)
        if base in FLOATS:
            return f"CAST({sql} AS FLOAT)"
        return f"CONVERT(NVARCHAR(36), {sql})" if base == "uniqueidentifier" else self.key(column, sql)

    def key_value(self, column: ReadColumn, marker: str) -> str:
        base = base_of(column.type)
        if base in BYTES:
            return f"CONVERT(VARBINARY(MAX), {marker}, 2)"
        if base in TEXTS:
            return marker
        return f"CAST({marker} AS {'INT' if base == 'bit' else column.type})"

    def mark_column(self, column: ReadColumn) -> MarkColumn | None:
        return reading.mark_column(column)

    def _visit(self, work: Work[Result], seconds: float) -> Result:
        with self._server.connection(seconds) as connection:
            table = self._server.address.table
            return finished(work(MssqlSourceSession(connection, self.shown, table)))


class MssqlLookupDialect(MssqlSourceDialect):
    """Represents one database that records are looked up in."""

    def limited(self, rows: int) -> str:
        return f"ORDER BY (SELECT NULL) {super().limited(rows)}"
