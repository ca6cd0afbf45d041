"""Implements a table of any SQL system as a `Destination`, with a load ledger beside it.

A batch is one transaction: its row in the ledger, and its rows in the table. A batch that is in the ledger was loaded
before, and its result is read there. How a system does this, its `TableDialect` says."""

from __future__ import annotations

from functools import partial

from loom_common.domain.definition.pipeline import LoadConfig
from loom_common.domain.values.destination_names import sample_table
from loom_common.errors import ConfigurationError
from loom_connectors.ports import ConnectorContext, Guarantee, LoadBatch, LoadResult
from loom_connectors.sql.careful_write import Write, write_apart, write_at_once
from loom_connectors.sql.dialect import Fault, TableDialect, TableSession, Target
from loom_connectors.sql.ledger import LEDGER, Ledger
from loom_connectors.sql.load_table import LoadTable
from loom_connectors.sql.parameters import SqlDestinationOptions
from loom_connectors.sql.row_outcomes import FINALIZED, left_out, result_of, sorted_out, threads_of
from loom_connectors.sql.table_name import TableName


class LedgerDestination:
    """Loads into a table. Modes `append`, `upsert` (the default where records have a key) and `replace`."""

    def __init__(
        self,
        config: LoadConfig,
        context: ConnectorContext,
        options: SqlDestinationOptions,
        dialect: TableDialect,
        table: TableName | None,
    ) -> None:
        """Take the `table` that the location names. Raises `ConfigurationError` where it names none."""
        if table is None:
            raise ConfigurationError(f"load.destination: {dialect.shown} names no table; add `?table=name` at its end.")
        self._dialect = dialect
        self._timeouts = options.timeouts
        self._table = LoadTable.of(config, context, table, dialect, may_create=options.create_table)
        self._ledger = Ledger(table.beside(sample_table(LEDGER) if context.sample else LEDGER), dialect)
        self._has_ledger = False
        self._targets: dict[str, Target] = {}

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.LEDGER

    @property
    def effect(self) -> str:
        return self._table.adding.effect

    @property
    def stages(self) -> bool:
        return self._table.replaces

    @property
    def location(self) -> str:
        return f"{self._dialect.shown}?table={self._table.name}"

    async def check(self) -> None:
        await self._dialect.look(self._table.check)

    async def load(self, batch: LoadBatch) -> LoadResult:
        return await self._dialect.run(partial(self._load, batch=batch), self._timeouts.transaction)

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """Mode `replace` puts the run's rows in place of the old ones, in one transaction."""
        if not self._table.replaces:
            return True
        work = partial(self._finalize, run_id=run_id, complete=complete, keep=keep)
        return await self._dialect.run(work, self._timeouts.finalize)

    async def drop(self, run_id: str) -> bool:
        """Removes the staging table of mode `replace`, and what the ledger says of it."""
        if not self._table.replaces:
            return True
        return await self._dialect.run(partial(self._drop, run_id=run_id), self._timeouts.finalize)

    async def close(self) -> None:
        await self._dialect.close()

    async def _load(self, session: TableSession, batch: LoadBatch) -> LoadResult:
        """Write all rows at once. Where the database refuses one of them, all is undone, and they are written apart.
        Where it refuses something else, and the table was looked at for an earlier batch, it is looked at again: it may
        be another table by now."""
        known = self._targets.get(self._kept_as(batch.run_id))
        try:
            return await self._transaction(session, batch, write_at_once, known)
        except self._dialect.errors as error:
            self._forget_what_is_there()
            fault = self._dialect.fault(error)
            if fault is Fault.TRANSIENT or (fault is Fault.DESTINATION and known is None):
                raise
        return await self._transaction(session, batch, write_apart, None)

    async def _transaction(
        self, session: TableSession, batch: LoadBatch, write: Write, known: Target | None
    ) -> LoadResult:
        async with session.transaction():
            await self._see_ledger(session)
            if not await self._ledger.enter(session, batch.run_id, [batch.batch_id], len(batch.rows)):
                return await self._ledger.result(session, batch.run_id, batch.batch_id)
            new = await self._not_loaded_yet(session, batch)
            result = LoadResult(len(batch.rows))
            if new.rows:
                known = await self._table.target(session, new, known)
                result = await self._write(session, batch, new, write, known)
        self._has_ledger = True
        if known is not None:  # what was created for it is committed now, so other connections see it
            self._targets[self._kept_as(batch.run_id)] = known
        return result

    async def _not_loaded_yet(self, session: TableSession, batch: LoadBatch) -> LoadBatch:
        """Return the batch without records that a run before loaded. A replay enters the others by record."""
        if batch.origin is None or not batch.rows:
            return batch
        threads = list(batch.threads)
        if batch.is_of_a_replay:
            entered = await self._ledger.enter(session, batch.origin, threads, 1)
            return left_out(batch, set(threads) - entered)[0]
        return left_out(batch, await self._ledger.entered(session, batch.origin, threads))[0]

    async def _write(
        self, session: TableSession, batch: LoadBatch, new: LoadBatch, write: Write, target: Target
    ) -> LoadResult:
        """Write the rows of `new`, and correct the ledger where some of them are refused."""
        rows, failed = sorted_out(new.rows, list(target.columns), target.key)
        if rows:
            failed += await write(self._dialect, session, target, rows)
        result = result_of(batch.rows, failed)
        if failed:
            await self._ledger.correct(session, batch.run_id, batch.batch_id, result)
            if batch.is_of_a_replay and batch.origin is not None:
                await self._ledger.remove(session, batch.origin, threads_of(new, failed))
        return result

    async def _finalize(self, session: TableSession, run_id: str, *, complete: bool, keep: bool) -> bool:
        async with session.transaction(self._timeouts.finalize):
            await self._see_ledger(session)
            exchanged = await self._ledger.is_exchanged(session, run_id)
            if exchanged or not complete:
                return exchanged
            exchanges = not (keep and await self._table.holds_rows(session))
            if not exchanges:
                await self._remove_staged(session, run_id)
            elif await self._ledger.enter(session, run_id, [FINALIZED], 0):
                await self._table.exchange(session, run_id)
        self._targets.pop(self._kept_as(run_id), None)
        return exchanges

    async def _drop(self, session: TableSession, run_id: str) -> bool:
        async with session.transaction(self._timeouts.finalize):
            await self._see_ledger(session)
            if await self._ledger.is_exchanged(session, run_id):
                return True
            await self._remove_staged(session, run_id)
        self._targets.pop(self._kept_as(run_id), None)
        return False

    async def _remove_staged(self, session: TableSession, run_id: str) -> None:
        await self._table.drop_staging(session, run_id)
        await self._ledger.count_nothing(session, run_id)

    async def _see_ledger(self, session: TableSession) -> None:
        if not self._has_ledger:
            await self._ledger.create(session)

    def _forget_what_is_there(self) -> None:
        self._targets.clear()
        self._has_ledger = False

    def _kept_as(self, run_id: str) -> str:
        return run_id if self._table.replaces else ""
