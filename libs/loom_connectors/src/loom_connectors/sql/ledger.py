"""Implements the load ledger: a table beside the one that is loaded, with a row for each batch that is in it.

It is written in the transaction that writes the batch's rows. What a replay loads is entered by record besides, under
the run that first read it, so that another replay leaves it out."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Mapping, Sequence

from loom_connectors.ports.destination import LoadResult
from loom_connectors.sql.dialect import TableDialect, TableSession
from loom_connectors.sql.row_outcomes import FINALIZED, failed_as_json, stored_result
from loom_connectors.sql.table_name import TableName

LEDGER = "loom_load_ledger"


class Ledger:
    """Writes and reads one load ledger."""

    def __init__(self, table: TableName, dialect: TableDialect) -> None:
        self._table = table
        self._dialect = dialect
        self._name = table.quoted_by(dialect.quoted)
        run, batch = dialect.marker(1), dialect.marker(2)
        self._one = f"run_id = {run} AND batch_id = {batch}"
        self._several = f"run_id = {run} AND batch_id {dialect.is_one_of(2)}"

    async def create(self, session: TableSession) -> None:
        """Create the table where it is missing."""
        await session.create_ledger(self._table)

    async def enter(self, session: TableSession, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        """Enter each name of `loaded` that is not entered, with the number of its rows. Returns those that were not."""
        return await session.enter(self._table, run_id, loaded)

    async def result(self, session: TableSession, run_id: str, batch_id: str) -> LoadResult:
        """Return what became of a batch that is entered."""
        sql = f"SELECT loaded, failed FROM {self._name} WHERE {self._one}"
        ((loaded, failed),) = await session.fetch(sql, run_id, batch_id)
        return stored_result(int(loaded), failed)

    async def correct(self, session: TableSession, run_id: str, batch_id: str, result: LoadResult) -> None:
        """Write what became of a batch that was entered as loaded."""
        loaded, failed = (self._dialect.marker(number) for number in (1, 2))
        run, batch = (self._dialect.marker(number) for number in (3, 4))
        sql = (
            f"UPDATE {self._name} SET loaded = {loaded}, failed = {failed} WHERE run_id = {run} AND batch_id = {batch}"
        )
        await session.execute(sql, result.loaded, failed_as_json(result.failed), run_id, batch_id)

    async def entered(self, session: TableSession, run_id: str, names: Sequence[str]) -> set[str]:
        """Return those of `names` that are entered."""
        sql = f"SELECT batch_id FROM {self._name} WHERE {self._several}"
        return {str(name) for (name,) in await session.fetch(sql, run_id, self._dialect.name_list(names))}

    async def remove(self, session: TableSession, run_id: str, names: Sequence[str]) -> None:
        """Delete the rows of `names`."""
        sql = f"DELETE FROM {self._name} WHERE {self._several}"
        await session.execute(sql, run_id, self._dialect.name_list(names))

    async def is_exchanged(self, session: TableSession, run_id: str) -> bool:
        """Tell whether the rows of a run that replaces were put in place."""
        return bool(await session.fetch(f"SELECT 1 FROM {self._name} WHERE {self._one}", run_id, FINALIZED))

    async def count_nothing(self, session: TableSession, run_id: str) -> None:
        """Say of every batch of a run that none of its rows is in the table, because they were removed."""
        sql = f"UPDATE {self._name} SET loaded = 0 WHERE run_id = {self._dialect.marker(1)}"
        await session.execute(sql, run_id)
