"""Postgres as a `Source`: a query or a table, read by key or in physical order."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncpg

from loom_common.domain.pipeline import ExtractConfig
from loom_common.errors import ConfigurationError, SourceError
from loom_connectors import keyset
from loom_connectors.keyset import Dialect, KeyCursor
from loom_connectors.options import options_of
from loom_connectors.ports import (
    Page,
    ReadRecord,
    Surroundings,
)
from loom_connectors.postgres_server import Address, Server, TableName
from loom_connectors.sql import SqlSourceOptions, bound, quoted
from loom_connectors.values import as_json

_BLOCKS = (8, 4096)
"""Blocks of a table that are looked through at once: at first, and at most where they turn out empty."""


def dialect(types: Mapping[str, str]) -> Dialect:
    """How Postgres reads by key, given the SQL types of the columns."""

    def value(number: int, name: str) -> str:
        return f"${number}::text::{types[name]}" if name else f'${number}::text COLLATE "C"'

    return Dialect(f'{keyset.ROW}::text COLLATE "C"', lambda name: f"{keyset.ROW}.{quoted(name)}", value)


class PostgresSource:
    """A query, or a table."""

    def __init__(self, config: ExtractConfig, surroundings: Surroundings) -> None:
        options = options_of(SqlSourceOptions, config.options, "extract")
        address = Address.of(config.source, surroundings.credentials)
        self._timeouts = options.timeouts
        self._server = Server(address, options.timeouts, SourceError)
        self._keys = config.keys
        self._table = address.table
        self._columns: dict[str, str] = {}
        self._values: list[Any] = []
        keyset.see_query_or_table(config.query, address.table, address.shown)
        if address.table is not None:
            self._query = f"SELECT * FROM {address.table.sql}"
        else:
            self._query, self._values = bound(config.query or "", surroundings.params, lambda number: f"${number}")

    async def check(self) -> None:
        async with self._server.connection() as connection:
            await self._see_columns(connection)
            if not self._keys:
                await self._see_physical_order(connection)

    async def count(self) -> int | None:
        sql = f"SELECT count(*) FROM (\n{self._query}\n) AS {keyset.ROW}"
        async with self._server.connection() as connection:
            try:
                return int(await connection.fetchval(sql, *self._values, timeout=self._timeouts.count))
            except (TimeoutError, asyncpg.QueryCanceledError):
                return None

    async def read(self, cursor: Any, limit: int) -> Page:
        async with self._server.connection() as connection:
            if self._keys:
                return await self._by_key(connection, KeyCursor.of(cursor), limit)
            table = await self._see_physical_order(connection)
            return await self._by_place(connection, table, cursor or {"block": 0, "item": 0}, limit)

    async def close(self) -> None:
        await self._server.close()

    async def _by_key(self, connection: Any, cursor: KeyCursor, limit: int) -> Page:
        types = await self._see_columns(connection)
        records: list[ReadRecord] = []
        while True:
            room = limit - len(records)
            sql = keyset.page_sql(self._query, self._keys, cursor, room, dialect(types), len(self._values))
            rows = await connection.fetch(sql, *self._values, *map(_as_text, cursor.last or ()))
            names = (keyset.ROW_TEXT,) if cursor.nulls else self._keys
            found = [tuple(row[name] for name in names) for row in rows]
            ordinals = keyset.ordinals(found)
            for row, ordinal in list(zip(rows, ordinals, strict=True))[cursor.given :]:
                records.append(keyset.record(self._keys, _as_data(row), ordinal))
            cursor, over = keyset.advance(cursor, found, room)
            if not over or cursor.nulls:
                if cursor.last is not None:
                    cursor = replace(cursor, last=tuple(map(as_json, cursor.last)))
                return Page(records, cursor.json, end=over)
            cursor = KeyCursor(nulls=True)

    async def _by_place(self, connection: Any, table: TableName, cursor: dict[str, int], limit: int) -> Page:
        """Rows as they lie on disk, some blocks at a time: Postgres reads a range of row ids without a scan."""
        blocks = await connection.fetchval(
            "SELECT pg_relation_size(to_regclass($1)) / current_setting('block_size')::int", table.sql
        )
        sql = f"""
            SELECT ctid AS loom_place, {keyset.ROW}.* FROM {table.sql} AS {keyset.ROW}
            WHERE ctid > $1 AND ctid < $2 ORDER BY ctid LIMIT $3
        """
        place, width = (cursor["block"], cursor["item"]), _BLOCKS[0]
        records: list[ReadRecord] = []
        while place[0] < blocks:
            room, upto = limit - len(records), (min(place[0] + width, blocks), 0)
            rows = await connection.fetch(sql, place, upto, room)
            for row in rows:
                data = _as_data(row)
                block, item = data.pop("loom_place")
                records.append(ReadRecord(f"row ({block},{item})", data))
            if len(rows) == room:
                place = rows[-1]["loom_place"]
                break
            place, width = upto, min(width * 2, _BLOCKS[1])
        return Page(records, {"block": place[0], "item": place[1]}, end=place[0] >= blocks)

    async def _see_columns(self, connection: Any) -> dict[str, str]:
        """The SQL type of each column. Raises `ConfigurationError` for a key that is none of them."""
        if not self._columns:
            sql = f"SELECT * FROM (\n{self._query}\n) AS {keyset.ROW} LIMIT 0"
            statement = await connection.prepare(sql)
            try:
                await statement.fetch(*self._values)
            except asyncpg.DataError as error:
                raise ConfigurationError(
                    f"extract.query: a parameter is not of the type it is used as: {error}"
                ) from error
            attributes = statement.get_attributes()
            names = [each.name for each in attributes]
            keyset.see_columns(names, self._keys, f"the table {self._table}" if self._table else "the query")
            self._columns = {each.name: f"{quoted(each.type.schema)}.{quoted(each.type.name)}" for each in attributes}
        return self._columns

    async def _see_physical_order(self, connection: Any) -> TableName:
        if self._table is None:
            raise keyset.no_order("A query")
        kind = await connection.fetchval("SELECT relkind FROM pg_class WHERE oid = to_regclass($1)", self._table.sql)
        if kind is None:
            raise SourceError(
                f"{self._server.address.shown} has no table {self._table}. Correct `?table=` in `source`."
            )
        if kind not in (b"r", b"m"):
            raise keyset.no_order(f"{self._table} (a view, or a table in partitions)")
        return self._table


def _as_data(row: Any) -> dict[str, Any]:
    return {name: as_json(value) for name, value in row.items()}


def _as_text(value: Any) -> str:
    """A key of a cursor as text that Postgres reads back into the column's type."""
    return ("true" if value else "false") if isinstance(value, bool) else str(as_json(value))
