"""Postgres as a `Destination`: a table, with a load ledger beside it."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

from loom_common.domain.definition.pipeline import LoadConfig
from loom_common.domain.values.destination_names import sample_table, staging_table
from loom_common.errors import AccessRefused, ConfigurationError, DestinationError
from loom_connectors.options import options_of
from loom_connectors.ports import (
    ConnectorContext,
    Guarantee,
    LoadBatch,
    LoadResult,
)
from loom_connectors.postgres.rows import Target, Write, write, write_apart
from loom_connectors.postgres.server import Address, Server, TableName, is_a_rows_fault
from loom_connectors.postgres.tables import (
    LEDGER,
    columns_of_table,
    make_ledger,
    make_staging,
    make_table,
    rights,
    unique_keys,
)
from loom_connectors.sql.columns import Kind, columns_of, kinds, lacking, unknown_everywhere
from loom_connectors.sql.load_modes import Adding
from loom_connectors.sql.parameters import SqlDestinationOptions, name_list, quoted
from loom_connectors.sql.row_outcomes import (
    FINALIZED,
    failed_as_json,
    left_out,
    result_of,
    sorted_out,
    stored_result,
    threads_of,
)
from loom_connectors.values import UnfitValue


class PostgresDestination:
    """A table. Modes `append`, `upsert` (the default where records have a key) and `replace`."""

    def __init__(self, config: LoadConfig, surroundings: ConnectorContext) -> None:
        self._options = options_of(SqlDestinationOptions, config.options, "load")
        address = Address.of(config.destination, surroundings.credentials)
        if address.table is None:
            raise ConfigurationError(f"load.destination: {address.shown} names no table; add `?table=name` at its end.")
        self._server = Server(address, self._options.timeouts, DestinationError)
        self._table = address.table
        self._ledger = address.table.beside(LEDGER)
        if surroundings.sample:
            self._table = self._table.beside(sample_table(self._table.name))
            self._ledger = self._ledger.beside(sample_table(LEDGER))
        self._adding = Adding.of(config, surroundings)
        self._mode = self._adding.mode
        self._key = self._adding.key
        self._may_create = self._options.create_table or surroundings.sample
        self._anew = (
            surroundings.sample and not surroundings.adds
        )  # a sample's columns may be others than the last one's
        self._schema = surroundings.output_schema
        self._expected = list(dict.fromkeys([*config.key, *config.include, *kinds(self._schema, ())]))
        self._has_ledger = False
        self._targets: dict[str, Target] = {}

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.LEDGER

    @property
    def effect(self) -> str:
        return self._adding.effect

    @property
    def stages(self) -> bool:
        return self._mode == "replace"

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
            if not may.exists and not self._may_create:
                raise self._no_table()
            if not may.exists and not may.may_create:
                raise AccessRefused(f"{self._place}: this user may not create tables. GRANT CREATE, or make the table.")
            if not may.may_write:
                raise AccessRefused(f"{self._place}: this user may not write to it in mode {self._mode}. GRANT it.")
            if may.exists and not self._anew:
                columns = await self._see_columns(connection)
                missing = [name for name in self._expected if name not in columns]
                if missing:
                    raise lacking(missing, str(self._table), list(columns))

    async def load(self, batch: LoadBatch) -> LoadResult:
        async with self._server.connection() as connection, asyncio.timeout(self._options.timeouts.transaction):
            await self._see_ledger(connection)
            try:
                return await self._load(connection, batch, write)
            except (asyncpg.PostgresError, UnfitValue) as error:
                self._targets.clear()  # the table may be another than it was
                if not isinstance(error, UnfitValue) and not is_a_rows_fault(error):
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
            new = batch if batch.origin is None else await self._not_loaded_yet(connection, batch, batch.origin)
            if not new.rows:
                return LoadResult(len(batch.rows))
            target = await self._target(connection, new)
            rows, failed = sorted_out(new.rows, list(target.columns), self._key)
            if rows:
                failed += await write_rows(connection, target, rows, self._options.timeouts.load)
            result = result_of(batch.rows, failed)
            if failed:
                await connection.execute(
                    f"UPDATE {self._ledger.sql} SET loaded = $3, failed = $4 WHERE run_id = $1 AND batch_id = $2",
                    run, name, result.loaded, failed_as_json(result.failed),
                )  # fmt: skip
                if batch.is_of_a_replay:
                    sql = f"DELETE FROM {self._ledger.sql} WHERE run_id = $1 AND batch_id = ANY($2)"
                    await connection.execute(sql, batch.origin, threads_of(new, failed))
        self._targets[self._kept_as(run)] = target  # now that what was made for it is there for every connection
        return result

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """Mode `replace` puts the run's rows in place of the old ones, in one transaction."""
        if self._mode != "replace":
            return True
        seconds = self._options.timeouts.finalize
        async with self._server.connection() as connection, asyncio.timeout(seconds):
            await self._see_ledger(connection)
            if not complete:
                return await self._exchanged(connection, run_id)
            async with connection.transaction():
                await connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
                if keep and await self._holds_rows(connection):
                    await self._drop(connection, run_id)
                    return False
                if await self._enter(connection, run_id, FINALIZED, 0):
                    await self._exchange(connection, run_id, seconds)
        self._targets.pop(self._kept_as(run_id), None)
        return True

    async def _exchange(self, connection: Any, run_id: str, seconds: float) -> None:
        staging = self._staging(run_id)
        exists = bool(await columns_of_table(connection, self._table))
        if self._anew:
            await connection.execute(f"DROP TABLE IF EXISTS {self._table.sql}")
        elif exists:
            await connection.execute(f"DELETE FROM {self._table.sql}", timeout=seconds)
        elif self._may_create and self._expected:
            await make_table(connection, self._table, kinds(self._schema, self._expected), ())
        staged = await columns_of_table(connection, staging)
        if staged and self._anew:
            await connection.execute(f"ALTER TABLE {staging.sql} RENAME TO {quoted(self._table.name)}")
        elif staged:
            names = name_list(list(staged))
            await connection.execute(
                f"INSERT INTO {self._table.sql} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {staging.sql}",
                timeout=seconds,
            )
            await connection.execute(f"DROP TABLE {staging.sql}")

    async def drop(self, run_id: str) -> bool:
        """Removes the staging table of mode `replace`, and what the ledger says of it."""
        if self._mode != "replace":
            return True
        async with self._server.connection() as connection, asyncio.timeout(self._options.timeouts.finalize):
            await self._see_ledger(connection)
            async with connection.transaction():
                if await self._exchanged(connection, run_id):
                    return True
                await self._drop(connection, run_id)
        self._targets.pop(self._kept_as(run_id), None)
        return False

    async def _drop(self, connection: Any, run_id: str) -> None:
        await connection.execute(f"DROP TABLE IF EXISTS {self._staging(run_id).sql}")
        await connection.execute(f"UPDATE {self._ledger.sql} SET loaded = 0 WHERE run_id = $1", run_id)

    async def _exchanged(self, connection: Any, run_id: str) -> bool:
        """Whether the run's rows are in the table."""
        sql = f"SELECT 1 FROM {self._ledger.sql} WHERE run_id = $1 AND batch_id = $2"
        return await connection.fetchval(sql, run_id, FINALIZED) is not None

    async def _holds_rows(self, connection: Any) -> bool:
        if not await columns_of_table(connection, self._table):
            return False
        return await connection.fetchval(f"SELECT 1 FROM {self._table.sql} LIMIT 1") is not None

    def _staging(self, run_id: str) -> TableName:
        return self._table.beside(staging_table(self._table.name, run_id))

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

    async def _not_loaded_yet(self, connection: Any, batch: LoadBatch, origin: str) -> LoadBatch:
        """The batch without records that a run before loaded. A replay enters the others in the same statement, which
        waits for another replay that is loading one of them."""
        names = list(batch.threads)
        if batch.is_of_a_replay:
            sql = (
                f"INSERT INTO {self._ledger.sql} (run_id, batch_id, loaded, failed) "
                "SELECT $1, thread, 1, '[]' FROM unnest($2::text[]) thread ON CONFLICT DO NOTHING RETURNING batch_id"
            )
            entered = {row["batch_id"] for row in await connection.fetch(sql, origin, names)}
            return left_out(batch, set(names) - entered)[0]
        sql = f"SELECT batch_id FROM {self._ledger.sql} WHERE run_id = $1 AND batch_id = ANY($2)"
        return left_out(batch, {row["batch_id"] for row in await connection.fetch(sql, origin, names)})[0]

    async def _see_ledger(self, connection: Any) -> None:
        if not self._has_ledger:
            await make_ledger(connection, self._ledger)
            self._has_ledger = True

    async def _target(self, connection: Any, batch: LoadBatch) -> Target:
        """The table as it is, made where it is missing. Raises `DestinationError` for a column it lacks."""
        names = columns_of(batch.rows)
        target = self._targets.get(self._kept_as(batch.run_id))
        if target is None or not set(names) <= set(target.columns):
            wanted = kinds(self._schema, list(dict.fromkeys([*self._key, *names])), batch.rows)
            if self._anew:
                table = self._staging(batch.run_id)
                await make_table(connection, table, wanted, ())
                columns = await columns_of_table(connection, table)
            else:
                table, columns = await self._table_for(connection, batch, wanted)
            target = Target(table, columns, self._key)
        if missing := unknown_everywhere(batch.rows, list(target.columns)):
            raise lacking(missing, str(self._table), list(target.columns))
        return target

    async def _table_for(
        self, connection: Any, batch: LoadBatch, wanted: Mapping[str, Kind]
    ) -> tuple[TableName, dict[str, str]]:
        """Where the batch is written, and the columns there."""
        if not await columns_of_table(connection, self._table):
            if not self._may_create:
                raise self._no_table()
            await make_table(connection, self._table, wanted, self._key)
        columns = await self._see_columns(connection)
        if self._mode != "replace":
            return self._table, columns
        staging = self._staging(batch.run_id)
        await make_staging(connection, staging, self._table)
        return staging, columns

    def _kept_as(self, run_id: str) -> str:
        return run_id if self._mode == "replace" else ""

    async def _see_columns(self, connection: Any) -> dict[str, str]:
        columns = await columns_of_table(connection, self._table)
        if self._key and set(self._key) <= set(columns):
            indexes = await unique_keys(connection, self._table)
            if not any(set(names) == set(self._key) for names in indexes):
                index = f"CREATE UNIQUE INDEX ON {self._table.sql} ({name_list(self._key)})"
                raise self._adding.no_index(str(self._table), index)
        return columns

    def _no_table(self) -> DestinationError:
        return DestinationError(
            f"{self._server.address.shown} has no table {self._table}. Make it, or let Loom: "
            "`options: {create_table: true}`."
        )

    @property
    def _place(self) -> str:
        return f"{self._server.address.shown}, table {self._table}"
