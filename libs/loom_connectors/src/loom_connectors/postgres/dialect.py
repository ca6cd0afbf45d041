"""Implements Postgres as a `TableDialect`: a few connections, and rows that are written by COPY."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from loom_common.errors import Conflict, DestinationError, PermanentError
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.postgres import tables, widening
from loom_connectors.postgres.rows import failed_row, write
from loom_connectors.postgres.server import NAMES, Server, is_a_rows_fault, meaning
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.dialect import Fault, Rights, Target, Work
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.parameters import Timeouts, name_list, quoted
from loom_connectors.sql.table_name import TableName
from loom_connectors.values import UnfitValue

Result = TypeVar("Result")
_TRIES = 5
"""Says how often a transaction is tried that others are in the way of."""


class PostgresSession:
    """Represents one connection to Postgres."""

    def __init__(self, connection: Any, write_seconds: float) -> None:
        self._connection = connection
        self._write_seconds = write_seconds
        self._statement_seconds: float | None = None

    @asynccontextmanager
    async def transaction(self, statement_seconds: float | None = None) -> AsyncIterator[None]:
        async with self._connection.transaction():
            if statement_seconds is not None:
                await self.execute(f"SET LOCAL statement_timeout = {int(statement_seconds * 1000)}")
            self._statement_seconds = statement_seconds
            yield

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        await self.execute("SET CONSTRAINTS ALL IMMEDIATE")
        async with self._connection.transaction():
            yield

    async def execute(self, sql: str, *values: object) -> int:
        status: str = await self._connection.execute(sql, *values, timeout=self._statement_seconds)
        rows = status.rpartition(" ")[2]
        return int(rows) if rows.isdigit() else 0

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = await self._connection.fetch(sql, *values, timeout=self._statement_seconds)
        return rows

    async def rights(self, table: TableName, mode: Mode) -> Rights:
        return await tables.rights(self._connection, table, mode)

    async def columns(self, table: TableName) -> dict[str, str]:
        return await tables.columns_of_table(self._connection, table)

    async def types(self, table: TableName) -> dict[str, str]:
        return await widening.types_of_table(self._connection, table)

    async def computed(self, table: TableName) -> Mapping[str, str]:
        return await tables.computed_columns(self._connection, table)

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        return any(set(names) == set(key) for names in await tables.unique_keys(self._connection, table))

    async def create_ledger(self, ledger: TableName) -> None:
        await tables.create_ledger(self._connection, ledger)

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        await tables.create_table(self._connection, table, kinds, key)

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        await widening.add_columns(self._connection, table, kinds)

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        await widening.widen(self._connection, table, needs)

    async def create_like(self, staging: TableName, table: TableName) -> None:
        await tables.create_like(self._connection, staging, table)

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        sql = (
            f"INSERT INTO {ledger.sql} (run_id, batch_id, loaded, failed) "
            "SELECT $1, name, rows, '[]' FROM unnest($2::text[], $3::bigint[]) entry (name, rows) "
            "ON CONFLICT DO NOTHING RETURNING batch_id"
        )
        return {name for (name,) in await self.fetch(sql, run_id, list(loaded), list(loaded.values()))}

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        await write(self._connection, target, rows, self._write_seconds)

    async def copy_rows(self, source: TableName, target: TableName) -> None:
        names = name_list(list(await self.columns(source)))
        await self.execute(
            f"INSERT INTO {target.sql} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {source.sql}"
        )


class PostgresDialect:
    """Represents one Postgres database."""

    errors = (asyncpg.PostgresError, UnfitValue)
    names = NAMES
    one_writes = False

    def __init__(self, server: Server, timeouts: Timeouts) -> None:
        self._server = server
        self._timeouts = timeouts

    @property
    def shown(self) -> str:
        return self._server.address.shown

    def fault(self, error: Exception) -> Fault:
        if not isinstance(error, asyncpg.PostgresError) or is_a_rows_fault(error):
            return Fault.ROW
        passes = not isinstance(meaning(error, self.shown, DestinationError), PermanentError)
        return Fault.TRANSIENT if passes else Fault.DESTINATION

    def failed_row(self, row: Row, error: Exception) -> FailedRow:
        return failed_row(row, error)

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return f"${number}"

    def is_one_of(self, number: int) -> str:
        return f"= ANY(${number})"

    def name_list(self, names: Sequence[str]) -> list[str]:
        return list(names)

    def type_of(self, kind: Kind, *, in_key: bool = False) -> str:
        return tables.TYPES[kind]

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        return f"CREATE UNIQUE INDEX ON {table.sql} ({name_list(key)})"

    def renamed(self, table: TableName, name: str) -> str:
        return f"ALTER TABLE {table.sql} RENAME TO {quoted(name)}"

    async def run(self, work: Work[Result], seconds: float) -> Result:
        """Do the work, a few times while other transactions are in its way."""
        for left in reversed(range(_TRIES)):
            try:
                return await self._done(work, seconds)
            except Conflict:
                if not left:
                    raise
            await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311  # no secret
        raise AssertionError

    async def _done(self, work: Work[Result], seconds: float) -> Result:
        async with self._server.connection() as connection, asyncio.timeout(seconds):
            return await work(PostgresSession(connection, self._timeouts.load))

    async def look(self, work: Work[Result]) -> Result:
        async with self._server.connection() as connection:
            return await work(PostgresSession(connection, self._timeouts.load))

    async def close(self) -> None:
        await self._server.close()
