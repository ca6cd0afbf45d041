"""Implements Snowflake as a `SourceDialect`: the driver in a thread, one page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from loom_common.errors import SourceError
from loom_connectors.snowflake import statements, tables
from loom_connectors.snowflake.reading import NESTED, formatted, is_formatted, mark_column, read_column, text_of
from loom_connectors.snowflake.server import Connection, Server
from loom_connectors.sql.blocking import finished
from loom_connectors.sql.reading.mark import MarkColumn
from loom_connectors.sql.reading.source_dialect import Order, ReadColumn, Work
from loom_connectors.sql.table_name import TableName

Result = TypeVar("Result")


class SnowflakeSourceSession:
    """Represents a connection that reads. Its coroutines wait for nothing: they block."""

    def __init__(self, connection: Connection, shown: str) -> None:
        self._connection = connection
        self._shown = shown

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        return [read_column(each) for each in self._connection.described(query, values)]

    async def order(self, table: TableName) -> Order | None:
        """Return None: Snowflake keeps no order, and a primary key is only a note."""
        if not tables.columns_of_table(self._connection, table):
            raise SourceError(f"{self._shown} has no table {table}. Correct `?table=` in `source`.")
        return None

    async def is_unique(self, table: TableName, keys: Sequence[str]) -> bool:
        return False

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._connection.fetched(sql, values)


class SnowflakeSourceDialect:
    """Represents one schema that is read."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def shown(self) -> str:
        return self._server.address.shown

    def quoted(self, name: str) -> str:
        return statements.quoted(name)

    def marker(self, number: int) -> str:
        return statements.marker(number)

    def written(self, query: str) -> str:
        return query

    def row_text(self, row: str, names: Sequence[str]) -> str:
        """Return the hash of all values, each with its length before it."""
        texts = (f"TO_VARCHAR({row}.{statements.quoted(name)})" for name in names)
        parts = ", ".join(f"COALESCE(LENGTH({each}) || ':' || {each}, 'N')" for each in texts)
        return f"MD5(CONCAT_WS('|', {parts}))"

    def compared(self, columns: Sequence[str], comparison: str, values: Sequence[str]) -> str:
        return statements.compared(columns, comparison, values)

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

    async def read(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(self._read, work, seconds)

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    def _read(self, work: Work[Result], seconds: float) -> Result:
        with self._server.connection(seconds) as connection:
            return finished(work(SnowflakeSourceSession(connection, self.shown)))
