"""Implements Postgres as a `LookupDialect`."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from loom_connectors.postgres.server import Server
from loom_connectors.postgres.values import Column, columns_of
from loom_connectors.sql.keyset_paging import ROW, limited_to
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.reading.lookup_dialect import LookupWork
from loom_connectors.sql.reading.source_dialect import ReadColumn

Result = TypeVar("Result")
_WHOLE = ("bigint", "integer", "smallint")


class PostgresLookupSession:
    """Represents one connection that reads."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        statement = await self._connection.prepare(f"SELECT * FROM (\n{query}\n) AS {ROW} LIMIT 0")
        await statement.fetch(*values)
        found = await columns_of(self._connection, statement.get_attributes())
        return [_read_column(each) for each in found.values()]

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        rows = await self._connection.fetch(sql, *values)
        return [tuple(row.values()) for row in rows]


class PostgresLookupDialect:
    """Represents one database that records are looked up in."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def shown(self) -> str:
        return self._server.address.shown

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return f"${number}"

    def written(self, query: str) -> str:
        return query

    def limited(self, rows: int) -> str:
        return limited_to(rows)

    def key(self, column: ReadColumn, sql: str) -> str:
        return sql

    def key_value(self, column: ReadColumn, marker: str) -> str:
        """Return the value in the column's type, so that its index serves. A whole number may be too large for the
        column, which then has no such row."""
        return f"{marker}::text::{'bigint' if column.whole else column.type}"

    async def read(self, work: LookupWork[Result], seconds: float) -> Result:
        async with self._server.connection() as connection:
            return await work(PostgresLookupSession(connection))

    async def close(self) -> None:
        await self._server.close()


def _read_column(column: Column) -> ReadColumn:
    return ReadColumn(column.name, column.type, lambda _: column.sql(ROW), column.read, whole=column.type in _WHOLE)
