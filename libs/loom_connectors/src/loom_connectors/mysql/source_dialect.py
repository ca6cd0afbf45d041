"""Implements MySQL and MariaDB as a `SourceDialect`: the driver in a thread, one page at a time."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import pymysql

from loom_common.errors import SourceError
from loom_connectors.mysql import tables
from loom_connectors.mysql.reading import mark_column, read_column
from loom_connectors.mysql.server import Server
from loom_connectors.mysql.statements import Markers, quoted
from loom_connectors.sql.keyset_paging import ROW, compared_as_rows, limited_to
from loom_connectors.sql.reading.mark import MarkColumn
from loom_connectors.sql.reading.source_dialect import Order, ReadColumn, Work
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished

Result = TypeVar("Result")
_CASTS = {"SIGNED": "SIGNED", "UNSIGNED": "UNSIGNED", "BIT": "UNSIGNED", "DECIMAL": "DECIMAL(65,30)"}
_FLOATS = ("FLOAT", "DOUBLE")


class MysqlSourceSession:
    """Represents a connection that reads. Its coroutines wait for nothing: they block."""

    def __init__(
        self,
        connection: pymysql.Connection,
        markers: Markers,
        shown: str,
        table: TableName | None,
    ) -> None:
        self._connection = connection
        self._markers = markers
        self._shown = shown
        self._table = table

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        json = tables.json_columns(self._connection, self._table) if self._table else frozenset()
        with self._connection.cursor() as cursor:
            cursor.execute(self._filled(f"SELECT * FROM (\n{query}\n) AS {ROW} LIMIT 0", values))
            fields = cursor._result.fields  # type: ignore[attr-defined]  # `description` lacks flags and character set
        return [read_column(field, is_json=field.name in json) for field in fields]

    async def order(self, table: TableName) -> Order | None:
        if not tables.columns_of_table(self._connection, table):
            raise SourceError(f"{self._shown} has no table {table}. Correct `?table=` in `source`.")
        keys = tables.not_null_keys(self._connection, table)
        return Order(keys[0]) if keys else None

    async def is_unique(self, table: TableName, keys: Sequence[str]) -> bool:
        return any(set(key) <= set(keys) for key in tables.not_null_keys(self._connection, table))

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(self._filled(sql, values))
            return cursor.fetchall()

    def _filled(self, sql: str, values: Sequence[Any]) -> str:
        return self._markers.filled(self._connection, sql, values)


class MysqlSourceDialect:
    """Represents one database that is read."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._markers = Markers()

    @property
    def shown(self) -> str:
        return self._server.address.shown

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return self._markers.marker(number)

    def written(self, query: str) -> str:
        return query

    def row_text(self, row: str, names: Sequence[str]) -> str:
        parts = (f"COALESCE(HEX(CAST({row}.{quoted(name)} AS BINARY)), 'N')" for name in names)
        return f"MD5(CONCAT_WS('|', {', '.join(parts)}))"

    def compared(self, columns: Sequence[str], comparison: str, values: Sequence[str]) -> str:
        return compared_as_rows(columns, comparison, values)

    def limited(self, rows: int) -> str:
        return limited_to(rows)

    def key(self, column: ReadColumn, sql: str) -> str:
        """An enum is ordered by its numbers and compared by its text, so its text orders it here."""
        match column.type:
            case "ENUM":
                return f"CAST({sql} AS CHAR)"
            case "FLOAT":
                return f"CAST({sql} AS DOUBLE)"
            case "BIT":
                return f"CAST({sql} AS UNSIGNED)"
            case _:
                return sql

    def key_form(self, column: ReadColumn, sql: str) -> str:
        return f"HEX({sql})" if column.type == "BINARY" else self.key(column, sql)

    def key_value(self, column: ReadColumn, marker: str) -> str:
        if column.type == "BINARY":
            return f"UNHEX({marker})"
        if column.type in _FLOATS:
            return f"CAST({marker} AS DOUBLE)"
        cast = _CASTS.get(column.type)
        return f"CAST({marker} AS {cast})" if cast else marker

    def mark_column(self, column: ReadColumn) -> MarkColumn | None:
        return mark_column(column)

    async def read(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(self._read, work, seconds)

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    def _read(self, work: Work[Result], seconds: float) -> Result:
        with self._server.connection(seconds) as connection:
            address = self._server.address
            return finished(work(MysqlSourceSession(connection, self._markers, self.shown, address.table)))
