"""Implements a table of any SQL system as a `Destination`, with a load ledger beside it.

A batch is written in one transaction: its row in the ledger, and its rows in the table. A batch that is in the ledger
was loaded before, and its result is read there. Batches that come at the same time share a transaction. How a system
does this, its `TableDialect` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.destination_names import sample_table
from loom_common.domain.values.fields import ColumnFit
from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.deferred_rows import read_once
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadBatch, LoadResult, Row
from loom_connectors.sql.columns import columns_of
from loom_connectors.sql.dialect import Fault, TableDialect, TableSession, Target
from loom_connectors.sql.ledger import LEDGER, Ledger
from loom_connectors.sql.load_table import LoadTable
from loom_connectors.sql.loading.careful_write import Write, write_apart, write_at_once
from loom_connectors.sql.loading.group_commit import GroupCommit
from loom_connectors.sql.loading.withdrawal import Withdrawal
from loom_connectors.sql.parameters import SqlDestinationOptions
from loom_connectors.sql.row_outcomes import FINALIZED, left_out, result_of, sorted_out, threads_of
from loom_connectors.sql.table_name import TableName


@dataclass(slots=True)
class _NewBatch:
    """Holds a batch that was not in the ledger, and what became of its rows so far."""

    batch: LoadBatch
    left: LoadBatch
    """The batch without records that a run before loaded."""
    failed: list[FailedRow] = field(default_factory=list)


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
        self._withdrawal = Withdrawal(self._table, dialect, tuple(config.key) or context.record_key)
        self._has_ledger = False
        self._targets: dict[str, Target] = {}
        self._group_commit = GroupCommit(self._load_together, one_writes=dialect.one_writes)

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

    async def fits(self) -> Sequence[ColumnFit]:
        return await self._dialect.look(self._table.fits)

    async def load(self, batch: LoadBatch) -> LoadResult:
        return await self._group_commit.load(batch)

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

    @property
    def keeps_rows(self) -> str | None:
        return self._withdrawal.refused

    async def withdraw(self, batch: LoadBatch) -> int:
        """Removes the rows and enters the batch in the ledger, in one transaction."""
        return await self._dialect.run(partial(self._withdraw, batch=batch), self._timeouts.transaction)

    async def _withdraw(self, session: TableSession, batch: LoadBatch) -> int:
        async with self._withdrawal.prepared(session, batch) as staging, session.transaction():
            await self._see_ledger(session)
            if not await self._ledger.enter(session, batch.run_id, {batch.batch_id: 0}):
                return 0
            removed = await self._withdrawal.remove(session, staging, batch)
            await self._ledger.remove(session, batch.origin or batch.run_id, list(batch.threads))
        return removed

    async def close(self) -> None:
        await self._group_commit.close()
        await self._dialect.close()

    async def _load_together(self, batches: Sequence[LoadBatch]) -> list[LoadResult]:
        return await self._dialect.run(partial(self._load, batches=batches), self._timeouts.transaction)

    async def _load(self, session: TableSession, batches: Sequence[LoadBatch]) -> list[LoadResult]:
        """Write all rows of batches of one run at once. Where the database refuses one of them, all is undone, and they
        are written apart. Where it refuses something else, and the table was looked at for an earlier batch, it is
        looked at again: it may be another table by now."""
        known = self._targets.get(self._kept_as(batches[0].run_id))
        try:
            return await self._transaction(session, batches, write_at_once, known)
        except self._dialect.errors as error:
            self._forget_what_is_there()
            fault = self._dialect.fault(error)
            if fault is Fault.TRANSIENT or (fault is Fault.DESTINATION and known is None):
                raise
            if self._table.evolution.types and len(batches) > 1:
                raise  # each is written alone then, after columns were widened for its values
        return await self._transaction(session, batches, write_apart, None)

    async def _transaction(
        self, session: TableSession, batches: Sequence[LoadBatch], write: Write, known: Target | None
    ) -> list[LoadResult]:
        run_id = batches[0].run_id
        async with session.transaction():
            await self._see_ledger(session)
            named = {each.batch_id: len(each.rows) for each in batches}
            entered = await self._ledger.enter(session, run_id, dict(sorted(named.items())))  # so that none deadlock
            new = {
                each.batch_id: _NewBatch(each, await self._not_loaded_yet(session, each))
                for each in batches
                if each.batch_id in entered
            }
            known = await self._write(session, list(new.values()), write, known)
            for each in new.values():
                await self._correct(session, each)
            results = [
                result_of(batch.rows, new[batch.batch_id].failed)
                if batch.batch_id in new
                else await self._ledger.result(session, run_id, batch.batch_id)
                for batch in batches
            ]
        self._has_ledger = True
        if known is not None:  # what was created for it is committed now, so other connections see it
            self._targets[self._kept_as(run_id)] = known
        return results

    async def _not_loaded_yet(self, session: TableSession, batch: LoadBatch) -> LoadBatch:
        """Return the batch without records that a run before loaded. A replay enters the others by record."""
        if batch.origin is None or not batch.rows:
            return batch
        threads = list(batch.threads)
        if batch.is_of_a_replay:
            entered = await self._ledger.enter(session, batch.origin, dict.fromkeys(threads, 1))
            return left_out(batch, set(threads) - entered)[0]
        return left_out(batch, await self._ledger.entered(session, batch.origin, threads))[0]

    async def _write(
        self, session: TableSession, batches: Sequence[_NewBatch], write: Write, known: Target | None
    ) -> Target | None:
        """Write the rows of the batches, those of batches with equal columns together: a row must not be given a column
        that its batch has not. Returns where they were written."""
        parts: dict[tuple[str, ...], list[Row]] = {}
        for each in batches:
            if each.left.rows:
                read = read_once(each.left.rows)
                names = columns_of(read)
                known = await self._table.target(session, each.left, names, known)
                fit, each.failed = sorted_out(read, names, list(known.columns), known.key)
                parts.setdefault(tuple(columns_of(fit) if each.failed else names), []).extend(fit)
        refused: list[FailedRow] = []
        for rows in parts.values():
            if rows and known is not None:
                refused += await write(self._dialect, session, known, rows)
        if refused:
            owners = {row.record_id: each for each in batches for row in each.left.rows}
            for row in refused:
                owners[row.record_id].failed.append(row)
        return known

    async def _correct(self, session: TableSession, new: _NewBatch) -> None:
        """Correct what the ledger says of a batch where some of its rows are refused."""
        if not new.failed:
            return
        batch, result = new.batch, result_of(new.batch.rows, new.failed)
        await self._ledger.correct(session, batch.run_id, batch.batch_id, result)
        if batch.is_of_a_replay and batch.origin is not None:
            await self._ledger.remove(session, batch.origin, threads_of(new.left, new.failed))

    async def _finalize(self, session: TableSession, run_id: str, *, complete: bool, keep: bool) -> bool:
        async with session.transaction(self._timeouts.finalize):
            await self._see_ledger(session)
            exchanged = await self._ledger.is_exchanged(session, run_id)
            if exchanged:
                await self._table.settle(session, run_id)
            if exchanged or not complete:
                return exchanged
            exchanges = not (keep and await self._table.holds_rows(session))
            if not exchanges:
                await self._remove_staged(session, run_id)
            elif await self._ledger.enter(session, run_id, {FINALIZED: 0}):
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
