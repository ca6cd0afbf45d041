"""Postgres: a `Source` that reads by key or in physical order, and a `Destination` with a load ledger."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import asyncpg

from loom_common.domain.pipeline import ExtractConfig, LoadConfig
from loom_common.errors import AccessRefused, ConfigurationError, DestinationError, SourceError
from loom_connectors import keyset
from loom_connectors.columns import columns_of, kinds, lacking, unknown_everywhere
from loom_connectors.keyset import Dialect, KeyCursor
from loom_connectors.options import options_of
from loom_connectors.outcome import failed_as_json, result_of, sorted_out, staging_name, stored_result
from loom_connectors.ports import (
    Guarantee,
    LoadBatch,
    LoadResult,
    Page,
    ReadRecord,
    Surroundings,
)
from loom_connectors.postgres_rows import Target, Write, write, write_apart
from loom_connectors.postgres_server import Address, Server, TableName, is_a_rows_fault
from loom_connectors.postgres_tables import (
    LEDGER,
    columns_of_table,
    make_ledger,
    make_staging,
    make_table,
    rights,
    unique_keys,
)
from loom_connectors.sql import SqlDestinationOptions, SqlSourceOptions, bound, name_list, quoted
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


class PostgresDestination:
    """A table. Modes `append` (the default), `upsert` and `replace`."""

    def __init__(self, config: LoadConfig, surroundings: Surroundings) -> None:
        self._options = options_of(SqlDestinationOptions, config.options, "load")
        address = Address.of(config.destination, surroundings.credentials)
        if address.table is None:
            raise ConfigurationError(f"load.destination: {address.shown} names no table; add `?table=name` at its end.")
        self._server = Server(address, self._options.timeouts, DestinationError)
        self._table = address.table
        self._ledger = address.table.beside(LEDGER)
        self._mode: Literal["append", "upsert", "replace"] = config.mode or "append"
        self._key = tuple(config.key) if self._mode == "upsert" else ()
        self._schema = surroundings.output_schema
        self._expected = list(dict.fromkeys([*config.key, *config.include, *kinds(self._schema, ())]))
        self._has_ledger = False
        self._targets: dict[str, Target] = {}

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.LEDGER

    @property
    def location(self) -> str:
        return f"{self._server.address.shown}?table={self._table}"

    async def check(self) -> None:
        async with self._server.connection() as connection:
            may = await rights(connection, self._table, self._mode)
            if may.read_only:
                raise AccessRefused(
                    f"{self._place} is read-only (a standby, or set so). Name a server that takes writes."
                )
            if not may.exists and not self._options.create_table:
                raise self._no_table()
            if not may.exists and not may.may_create:
                raise AccessRefused(f"{self._place}: this user may not create tables. GRANT CREATE, or make the table.")
            if not may.may_write:
                raise AccessRefused(f"{self._place}: this user may not write to it in mode {self._mode}. GRANT it.")
            if may.exists:
                columns = await self._see_columns(connection)
                missing = [name for name in self._expected if name not in columns]
                if missing:
                    raise lacking(missing, str(self._table), list(columns))

    async def load(self, batch: LoadBatch) -> LoadResult:
        async with self._server.connection() as connection, asyncio.timeout(self._options.timeouts.transaction):
            await self._see_ledger(connection)
            try:
                return await self._load(connection, batch, write)
            except asyncpg.PostgresError as error:
                self._targets.clear()  # the table may be another than it was
                if not is_a_rows_fault(error):
                    raise
            return await self._load(connection, batch, write_apart)

    async def _load(self, connection: Any, batch: LoadBatch, write_rows: Write) -> LoadResult:
        """One transaction: the ledger's row and the batch's rows. A batch that is in the ledger was loaded before."""
        run, name = batch.run_id, batch.batch_id
        async with connection.transaction():
            if not await self._enter(connection, run, name, len(batch.rows)):
                sql = f"SELECT loaded, failed FROM {self._ledger.sql} WHERE run_id = $1 AND batch_id = $2"
                stored = await connection.fetchrow(sql, run, name)
                return stored_result(stored["loaded"], stored["failed"])
            if not batch.rows:
                return LoadResult(0)
            target = await self._target(connection, batch)
            rows, failed = sorted_out(batch.rows, list(target.columns), self._key)
            if rows:
                failed += await write_rows(connection, target, rows, self._options.timeouts.load)
            result = result_of(batch.rows, failed)
            if failed:
                await connection.execute(
                    f"UPDATE {self._ledger.sql} SET loaded = $3, failed = $4 WHERE run_id = $1 AND batch_id = $2",
                    run, name, result.loaded, failed_as_json(result.failed),
                )  # fmt: skip
        self._targets[self._kept_as(run)] = target  # now that what was made for it is there for every connection
        return result

    async def finalize(self, run_id: str, *, complete: bool) -> None:
        """Mode `replace` puts the run's rows in place of the old ones, in one transaction."""
        if self._mode != "replace" or not complete:
            return
        staging = self._table.beside(staging_name(self._table.name, run_id))
        seconds = self._options.timeouts.finalize
        async with self._server.connection() as connection, asyncio.timeout(seconds):
            await self._see_ledger(connection)
            async with connection.transaction():
                await connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
                if not await self._enter(connection, run_id, "finalize", 0):
                    return
                exists = bool(await columns_of_table(connection, self._table))
                if exists:
                    await connection.execute(f"DELETE FROM {self._table.sql}", timeout=seconds)
                elif self._options.create_table and self._expected:
                    await make_table(connection, self._table, kinds(self._schema, self._expected), ())
                if staged := await columns_of_table(connection, staging):
                    names = name_list(list(staged))
                    await connection.execute(
                        f"INSERT INTO {self._table.sql} ({names}) OVERRIDING SYSTEM VALUE "
                        f"SELECT {names} FROM {staging.sql}",
                        timeout=seconds,
                    )
                    await connection.execute(f"DROP TABLE {staging.sql}")
        self._targets.pop(self._kept_as(run_id), None)

    async def close(self) -> None:
        await self._server.close()

    async def _enter(self, connection: Any, run_id: str, batch_id: str, loaded: int) -> bool:
        """Enter a batch into the ledger; False where it stands there already. Waits for another who is at it."""
        status = await connection.execute(
            f"INSERT INTO {self._ledger.sql} (run_id, batch_id, loaded, failed) VALUES ($1, $2, $3, '[]') "
            "ON CONFLICT DO NOTHING",
            run_id, batch_id, loaded,
        )  # fmt: skip
        return bool(status == "INSERT 0 1")

    async def _see_ledger(self, connection: Any) -> None:
        if not self._has_ledger:
            await make_ledger(connection, self._ledger)
            self._has_ledger = True

    async def _target(self, connection: Any, batch: LoadBatch) -> Target:
        """The table as it is, made where it is missing. Raises `DestinationError` for a column it lacks."""
        names = columns_of(batch.rows)
        target = self._targets.get(self._kept_as(batch.run_id))
        if target is None or not set(names) <= set(target.columns):
            if not await columns_of_table(connection, self._table):
                if not self._options.create_table:
                    raise self._no_table()
                wanted = list(dict.fromkeys([*self._key, *names]))
                await make_table(connection, self._table, kinds(self._schema, wanted), self._key)
            columns = await self._see_columns(connection)
            table = self._table
            if self._mode == "replace":
                table = table.beside(staging_name(table.name, batch.run_id))
                await make_staging(connection, table, self._table)
            target = Target(table, columns, self._key)
        if missing := unknown_everywhere(batch.rows, list(target.columns)):
            raise lacking(missing, str(self._table), list(target.columns))
        return target

    def _kept_as(self, run_id: str) -> str:
        return run_id if self._mode == "replace" else ""

    async def _see_columns(self, connection: Any) -> dict[str, str]:
        columns = await columns_of_table(connection, self._table)
        if self._key and set(self._key) <= set(columns):
            indexes = await unique_keys(connection, self._table)
            if not any(set(names) == set(self._key) for names in indexes):
                raise DestinationError(
                    f"Mode upsert needs a unique index on exactly ({', '.join(self._key)}), which the table "
                    f"{self._table} has not: CREATE UNIQUE INDEX ON {self._table.sql} ({name_list(self._key)})."
                )
        return columns

    def _no_table(self) -> DestinationError:
        return DestinationError(
            f"{self._server.address.shown} has no table {self._table}. Make it, or let Loom: "
            "`options: {create_table: true}`."
        )

    @property
    def _place(self) -> str:
        return f"{self._server.address.shown}, table {self._table}"


def open_source(config: ExtractConfig, surroundings: Surroundings) -> PostgresSource:
    """A `postgres://` query or table. Raises `ConfigurationError`."""
    return PostgresSource(config, surroundings)


def open_destination(config: LoadConfig, surroundings: Surroundings) -> PostgresDestination:
    """A `postgres://` table. Raises `ConfigurationError`."""
    return PostgresDestination(config, surroundings)
