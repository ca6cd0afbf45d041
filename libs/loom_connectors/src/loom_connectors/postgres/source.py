"""Implements Postgres as a `Source`: a query or a table, read by key or in physical order."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.options import options_of
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.postgres import pieces
from loom_connectors.postgres.server import Address, Server
from loom_connectors.postgres.values import SESSION, Column, columns_of, data_of, mark_column
from loom_connectors.sql import keyset_paging
from loom_connectors.sql.key_pieces import starting_at
from loom_connectors.sql.keyset_paging import Dialect, KeyCursor
from loom_connectors.sql.parameters import SqlSourceOptions, bound, listed, quoted
from loom_connectors.sql.reading.mark import MarkColumn, Narrowing
from loom_connectors.sql.table_name import TableName

_BLOCKS = (8, 4096)
"""Blocks of a table that are looked through at once: at first, and at most where they turn out empty."""
_RANK = "loom_rank"
"""The extra column that says which rows of a page have equal keys, as Postgres compares them: 1.0 is 1.00."""
_KEY = "loom_key_{}"
"""The extra columns that hold the text form of a row's keys, for the cursor."""
_PLACE = "loom_place"


def dialect(types: Mapping[str, str]) -> Dialect:
    """Tell how Postgres reads by key, given the SQL types of the columns."""

    def value(number: int, name: str) -> str:
        return f"${number}::text::{types[name]}" if name else f'${number}::text COLLATE "C"'

    return Dialect(f'{keyset_paging.ROW}::text COLLATE "C"', lambda name: f"{keyset_paging.ROW}.{quoted(name)}", value)


class PostgresSource:
    """Reads a query or a table."""

    def __init__(self, config: ExtractConfig, context: ConnectorContext) -> None:
        options = options_of(SqlSourceOptions, config.options, "extract")
        address = Address.of(config.source, context)
        self._timeouts = options.timeouts
        self._server = Server(address, options.timeouts, SourceError, SESSION)
        self._keys = config.keys
        self._narrowing = Narrowing(config.incremental, context.start)
        self._table = address.table
        self._columns: dict[str, Column] = {}
        self._values: list[Any] = []
        keyset_paging.see_query_or_table(config.query, address.table, address.shown)
        if address.table is not None:
            self._query = f"SELECT * FROM {address.table.sql}"
        else:
            self._query, self._values = bound(config.query or "", context.params, lambda number: f"${number}")

    async def check(self) -> None:
        async with self._server.connection() as connection:
            await self._see_columns(connection)
            if not self._keys:
                await self._see_physical_order(connection)

    async def count(self) -> int | None:
        sql = f"SELECT count(*) FROM (\n{self._query}\n) AS {keyset_paging.ROW}"
        async with self._server.connection() as connection:
            try:
                return int(await connection.fetchval(sql, *self._values, timeout=self._timeouts.count))
            except (TimeoutError, asyncpg.QueryCanceledError):
                return None

    async def fields(self) -> Fields | None:
        async with self._server.connection() as connection:
            return Fields(tuple(each.name for each in await self._attributes(connection)), certain=True)

    async def starts_by(self) -> str | None:
        async with self._server.connection() as connection:
            return self._narrowing.words(self._mark_column(await self._see_columns(connection)))

    async def split(self, parts: int | None) -> Sequence[Piece]:
        async with self._server.connection() as connection:
            if not self._keys:
                table = await self._see_physical_order(connection)
                return pieces_between(await pieces.blocks(connection, table, parts))
            columns = await self._see_columns(connection)
            query, values = self._narrowed(columns)
            whole = self._table if query == self._query else None
            key = columns[self._keys[0]]
            keys = await pieces.keys(connection, query, values, key, whole, parts, self._timeouts.count)
            return pieces_between(starting_at(keys), whole_keys=True)

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        async with self._server.connection() as connection:
            if self._keys:
                end = None if until is None else KeyCursor.of(until)
                return await self._by_key(connection, KeyCursor.of(cursor), limit, end)
            table = await self._see_physical_order(connection)
            return await self._by_place(connection, table, cursor or {"block": 0, "item": 0}, limit, until)

    async def close(self) -> None:
        await self._server.close()

    async def _by_key(self, connection: Any, cursor: KeyCursor, limit: int, until: KeyCursor | None) -> Page:
        columns = await self._see_columns(connection)
        types = {name: column.type for name, column in columns.items()}
        query, values = self._narrowed(columns)
        records: list[ReadRecord] = []
        while True:
            room = limit - len(records)
            page = keyset_paging.page_sql(query, self._keys, cursor, room, dialect(types), len(values), until)
            rest = self._ranked(page, nulls=cursor.nulls)
            edges = [*(cursor.last or ()), *(until.last or () if until else ())]
            rows = await self._fetched(connection, rest, *values, *map(_as_text, edges))
            ranks = [(row[_RANK],) for row in rows]
            ordinals = keyset_paging.ordinals(ranks)
            for row, ordinal in list(zip(rows, ordinals, strict=True))[cursor.given :]:
                records.append(self._keyed(row, ordinal, nulls=cursor.nulls))
            at, over = keyset_paging.advance(cursor, ranks, room)
            if rows:
                at = replace(at, last=tuple(rows[-1][name] for name in self._key_names(nulls=cursor.nulls)))
            if not over or cursor.nulls or until is not None:
                return Page(records, at.json, end=over)
            cursor = KeyCursor(nulls=True)

    def _narrowed(self, columns: Mapping[str, Column]) -> tuple[str, list[Any]]:
        """Return the query for the rows that the run takes, as far as Postgres can tell, and what is bound in it."""
        column = self._mark_column(columns)
        return self._narrowing.of(self._query, self._values, column, f"${len(self._values) + 1}")

    def _mark_column(self, columns: Mapping[str, Column]) -> MarkColumn | None:
        config = self._narrowing.config
        found = None if config is None else columns.get(config.column)
        return None if found is None else mark_column(found)

    def _ranked(self, page: str, *, nulls: bool) -> str:
        """Return what is selected from a page beside its columns: the text of its keys, and the ranks that tell keys
        apart."""
        inner = f"FROM ({page}) AS {keyset_paging.ROW}"
        if nulls:
            text = f"{keyset_paging.ROW}.{quoted(keyset_paging.ROW_TEXT)}"
            return f"{text}, dense_rank() OVER (ORDER BY {text}) AS {_RANK} {inner} ORDER BY {text}"
        columns = [f"{keyset_paging.ROW}.{quoted(key)}" for key in self._keys]
        names, keys = self._key_names(nulls=False), ", ".join(columns)
        texts = ", ".join(f"{column}::text AS {name}" for column, name in zip(columns, names, strict=True))
        ranks = f"dense_rank() OVER (ORDER BY {keys}) AS {_RANK}"
        return f'{texts}, {ranks} {inner} ORDER BY {keys}, {keyset_paging.ROW}::text COLLATE "C"'

    def _key_names(self, *, nulls: bool) -> list[str]:
        return [keyset_paging.ROW_TEXT] if nulls else [_KEY.format(at) for at in range(len(self._keys))]

    def _keyed(self, row: Mapping[str, Any], ordinal: int, *, nulls: bool) -> ReadRecord:
        shown = {key: _decoded(row[key]) for key in self._keys}
        place = keyset_paging.place(self._keys, shown, ordinal, row[keyset_paging.ROW_TEXT] if nulls else None)
        return self._record(row, place)

    def _record(self, row: Mapping[str, Any], place: str) -> ReadRecord:
        where = f"{self._server.address.shown} {self._what}, {place},"
        data, fault = data_of(row, list(self._columns.values()), where)
        return ReadRecord(place, data, fault)

    @property
    def _what(self) -> str:
        return f"table {self._table}" if self._table else "query"

    async def _by_place(
        self,
        connection: Any,
        table: TableName,
        cursor: Mapping[str, int],
        limit: int,
        until: Mapping[str, int] | None,
    ) -> Page:
        """Read rows as they lie on disk, some blocks at a time: Postgres reads a range of row ids without a scan."""
        await self._see_columns(connection)
        blocks = until["block"] if until else await pieces.number_of_blocks(connection, table)
        rest = (
            f"ctid AS {_PLACE} FROM {table.sql} AS {keyset_paging.ROW} "
            "WHERE ctid > $1 AND ctid < $2 ORDER BY ctid LIMIT $3"
        )
        place, width = (cursor["block"], cursor["item"]), _BLOCKS[0]
        records: list[ReadRecord] = []
        while place[0] < blocks:
            room, upto = limit - len(records), (min(place[0] + width, blocks), 0)
            rows = await self._fetched(connection, rest, place, upto, room)
            for row in rows:
                block, item = row[_PLACE]
                records.append(self._record(row, f"row ({block},{item})"))
            if len(rows) == room:
                place = rows[-1][_PLACE]
                break
            place, width = upto, min(width * 2, _BLOCKS[1])
        return Page(records, {"block": place[0], "item": place[1]}, end=place[0] >= blocks)

    async def _fetched(self, connection: Any, rest: str, *values: Any) -> Any:
        """Fetch rows with every column in its text form; as bytes where one is no text (a database in SQL_ASCII holds
        any). `rest` is the SELECT after its first columns."""
        columns = self._columns.values()
        texts = [f"{each.sql(keyset_paging.ROW)} AS {quoted(each.name)}" for each in columns]
        try:
            return await connection.fetch(f"SELECT {', '.join([*texts, rest])}", *values)
        except pieces.NO_TEXT:
            texts = [f"{each.bytes_sql(keyset_paging.ROW)} AS {quoted(each.name)}" for each in columns]
        try:
            return await connection.fetch(f"SELECT {', '.join([*texts, rest])}", *values)
        except pieces.NO_TEXT as error:
            raise SourceError(
                f"{self._server.address.shown} {self._what}: {error}. A key ({listed(self._keys)}) is not UTF-8 text, "
                "so the rows cannot be read in pages by it. Name another key, or convert it in a query."
            ) from error

    async def _see_columns(self, connection: Any) -> dict[str, Column]:
        """Read the columns by name. Raises `ConfigurationError` for a key that is none of them."""
        if not self._columns:
            attributes = await self._attributes(connection)
            names = [each.name for each in attributes]
            keyset_paging.see_columns(names, self._keys, f"the table {self._table}" if self._table else "the query")
            self._columns = await columns_of(connection, attributes)
        return self._columns

    async def _attributes(self, connection: Any) -> Sequence[asyncpg.Attribute]:
        """Return the columns of the query. Raises `ConfigurationError` for a parameter that does not fit it."""
        sql = f"SELECT * FROM (\n{self._query}\n) AS {keyset_paging.ROW} LIMIT 0"
        statement = await connection.prepare(sql)
        try:
            await statement.fetch(*self._values)
        except asyncpg.DataError as error:
            raise ConfigurationError(f"extract.query: a parameter is not of the type it is used as: {error}") from error
        return statement.get_attributes()  # type: ignore[no-any-return]  # the connection's type has no stubs here

    async def _see_physical_order(self, connection: Any) -> TableName:
        if self._table is None:
            raise keyset_paging.no_order("A query")
        kind = await connection.fetchval("SELECT relkind FROM pg_class WHERE oid = to_regclass($1)", self._table.sql)
        if kind is None:
            raise SourceError(
                f"{self._server.address.shown} has no table {self._table}. Correct `?table=` in `source`."
            )
        if kind not in (b"r", b"m"):
            raise keyset_paging.no_order(f"{self._table} (a view, or a table in partitions)")
        return self._table


def _decoded(value: Any) -> Any:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _as_text(value: Any) -> str:
    """Write a key of a cursor as text that Postgres reads back into the column's type."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
