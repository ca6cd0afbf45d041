"""Implements Snowflake as a `SourceDialect`: the driver in a thread, one page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from loom_connectors.snowflake import statements, tables
from loom_connectors.snowflake.reading import NESTED, formatted, is_formatted, mark_column, read_column, text_of
from loom_connectors.snowflake.server import Connection, Server
from loom_connectors.sql.reading.mark import MarkColumn
from loom_connectors.sql.reading.source_dialect import ReadColumn, Work
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sql.warehouse.source_dialect import WarehouseSourceDialect, WarehouseSourceSession

Result = TypeVar("Result")


class SnowflakeSourceSession(WarehouseSourceSession):
    """Asks one schema by a connection that is lent for the visit."""

    def __init__(self, connection: Connection, shown: str) -> None:
        super().__init__(shown)
        self._connection = connection

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        return [read_column(each) for each in self._connection.described(query, values)]

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._connection.fetched(sql, values)

    def _is_there(self, table: TableName) -> bool:
        return bool(tables.columns_of_table(self._connection, table))


class SnowflakeSourceDialect(WarehouseSourceDialect[Server]):
    """Represents one schema that is read."""

    def quoted(self, name: str) -> str:
        return statements.quoted(name)

    def marker(self, number: int) -> str:
        return statements.marker(number)

    def row_text(self, row: str, names: Sequence[str]) -> str:
        """Return the hash of all values, each with its length before it."""
        texts = (f"TO_VARCHAR({row}.{statements.quoted(name)})" for name in names)
        parts = ", ".join(f"COALESCE(LENGTH({each}) || ':' || {each}, 'N')" for each in texts)
        return f"MD5(CONCAT_WS('|', {parts}))"

    def key(self, column: ReadColumn, sql: str) -> str:
        return f"TO_JSON({sql})" if column.type in NESTED else sql

    def key_form(self, column: ReadColumn, sql: str) -> str:
        if column.type == "BINARY":
            return f"HEX_ENCODE({sql})"
        if is_formatted(column.type):
            return formatted(column.type)(sql)
        return self.key(column, sql) if column.type in ("FLOAT", "VARCHAR", *NESTED) else text_of(sql)

    def key_value(self, column: ReadColumn, marker: str) -> str:
        if column.type == "BINARY":
            return f"TO_BINARY({marker}, 'HEX')"
        return marker if column.type in ("VARCHAR", *NESTED) else f"CAST({marker} AS {column.type})"

    def mark_column(self, column: ReadColumn) -> MarkColumn | None:
        return mark_column(column)

    def _visit(self, work: Work[Result], seconds: float) -> Result:
        with self._server.connection(seconds) as connection:
            return finished(work(SnowflakeSourceSession(connection, self.shown)))
