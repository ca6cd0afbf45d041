"""Removes rows from a table by their keys.

The keys are written into a table beside it first, as rows are loaded, so that each is compared as the value that it is
in its column. That table is made before the transaction and removed after it, because some systems commit when they do
so."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom_connectors.ports.destination import LoadBatch
from loom_connectors.sql.dialect import TableDialect, TableSession, Target
from loom_connectors.sql.load_table import LoadTable
from loom_connectors.sql.table_name import TableName


class Withdrawal:
    """Removes rows that were loaded into one table."""

    def __init__(self, table: LoadTable, dialect: TableDialect, key: tuple[str, ...]) -> None:
        self._table = table
        self._dialect = dialect
        self._key = key

    @property
    def refused(self) -> str | None:
        """Say why rows cannot be removed; None where they can."""
        place = f"{self._dialect.shown}, table {self._table.name}"
        if not self._key:
            return f"{place}: its rows have no key by which one could be found. Give the pipeline an `extract.key`."
        if self._table.adding.mode == "append":
            return (
                f"{place}: in mode append every run adds its rows, so that those of one run cannot be told from those "
                "of another by their key. Use `mode: upsert` or `mode: replace`."
            )
        return None

    @asynccontextmanager
    async def prepared(self, session: TableSession, batch: LoadBatch) -> AsyncIterator[TableName]:
        """Give an empty table with the columns of the destination's, which is removed at the end."""
        staging = self._table.staging(batch.run_id)
        await session.execute(f"DROP TABLE IF EXISTS {self._sql(staging)}")
        await session.create_like(staging, self._table.name)
        yield staging
        await session.execute(f"DROP TABLE IF EXISTS {self._sql(staging)}")

    async def remove(self, session: TableSession, staging: TableName, batch: LoadBatch) -> int:
        """Remove the rows that have the keys of the batch. Return how many they were."""
        if not batch.rows:
            return 0
        target = Target(staging, await session.columns(staging), (), await session.types(staging))
        await session.write(target, batch.rows)
        table = self._sql(self._table.name)
        same = " AND ".join(f"{self._sql(staging)}.{name} = {table}.{name}" for name in map(self._quoted, self._key))
        return await session.execute(
            f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM {self._sql(staging)} WHERE {same})"
        )

    def _sql(self, table: TableName) -> str:
        return table.quoted_by(self._dialect.quoted)

    def _quoted(self, name: str) -> str:
        return self._dialect.quoted(name)
