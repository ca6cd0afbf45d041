"""Writes evaluated batches to their destination, and finalizes loads."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

from loom_common.caching.plan_cache import PlanCache
from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import BatchEvaluated, BatchHeader, EvaluatedRecord, FinalizeLoad, LoadFinalized
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.recovery import pause_after
from loom_common.domain.values import durations, ids
from loom_common.domain.values.plural import counted
from loom_common.errors import BreakerOpen, LoomError, NeverReached, PermanentError, PluginFailed, TransientError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.quality.checker import NOTHING_CHECKED, Checked, CheckedRecord, QualityChecker
from loom_common.resilience import failpoints
from loom_common.resilience.breakers import Breakers
from loom_common.user_code.time_limits import within
from loom_common.worker.context import Context
from loom_common.worker.stage_result import Loaded
from loom_connectors.ports.destination import CountsStaged, Destination, LoadBatch, Row
from loom_loader.outputs import outputs_of
from loom_loader.rows import held_to_schema, rows_of
from loom_loader.written import Written, first_rows, loaded_after_all, missing_a_check, refused, rows_that_failed

OpenDestination = Callable[[Plan], Destination | Awaitable[Destination]]


class Loader:
    """Writes batches, each once in effect: the destination sees to that, by its guarantee."""

    def __init__(
        self,
        plans: PlanCache,
        destinations: ResourceCache[Destination],
        open_destination: OpenDestination,
        breakers: Breakers | None = None,
        checker: Callable[[], QualityChecker] | None = None,
    ) -> None:
        """`checker` gives what runs the quality checks of plans; it is asked for where a plan has some."""
        self._checker = checker
        self._plans = plans
        self._breakers = breakers or Breakers()
        self._destinations = destinations
        self._open_destination = open_destination

    async def load(self, batch: BatchEvaluated, context: Context) -> Loaded:
        """Write a batch. Raises `TransientError` where the destination is away, `PermanentError` where it cannot be
        written."""
        header = batch.header
        plan = await self._plans.get(header.plan)
        limits, began = plan.pipeline.timeouts, perf_counter()
        seconds = min(durations.seconds(limits.batch), durations.seconds(limits.load))
        rows, lacking = rows_of(batch.records, plan.pipeline)
        rows, misfits, columns = held_to_schema(rows, plan)
        checked = await self._check_quality(rows, plan, header, context)
        errors = {**misfits, **checked.errors}
        records: Sequence[EvaluatedRecord] = batch.records
        if errors:
            rows = [row for row in rows if row.record_id not in errors]
            records = [each for each in records if each.id not in errors]
        load_batch = LoadBatch(
            header.run_id,
            header.batch_id,
            header.partition,
            header.slice,
            header.position,
            rows,
            origin_of(header, plan),
        )
        async with within(seconds, f"Loading a batch of {counted(len(rows), 'record')}", "timeouts.load"):
            written = await self._write_or_recover(load_batch, header.plan, plan, context)
        if lacking:
            written = replace(written, failed=(*written.failed, *lacking))
        return Loaded(
            seconds=perf_counter() - began,
            kept=[
                *missing_a_check(batch.records, errors, plan.pipeline.load.on_failure),
                *refused(records, written, plan.pipeline.load.on_failure),
            ],
            loaded=written.loaded,
            staged=written.staged,
            second=written.second,
            rows=first_rows(rows, written.failed) if plan.beside else (),
            outputs=outputs_of(records, written.failed) if plan.outputs else (),
            resolved=loaded_after_all(load_batch, written),
            checks=checked.counts,
            columns=columns,
        )

    async def _check_quality(self, rows: Sequence[Row], plan: Plan, header: BatchHeader, context: Context) -> Checked:
        """Run the plan's quality checks on the rows."""
        if self._checker is None or not plan.pipeline.load.quality_checks:
            return NOTHING_CHECKED
        records = [CheckedRecord(row.record_id, row.values) for row in rows]
        return await self._checker().check(
            header.plan, header.run_id, header.batch_id, records, context.attempt, context.clock
        )

    async def _write_or_recover(self, load_batch: LoadBatch, plan_hash: str, plan: Plan, context: Context) -> Written:
        """Load the batch into the destination; rows it refuses are tried again, or go to the second one, as the
        pipeline says. So does the whole batch where the first cannot be written, or is still away at the last
        attempt."""
        load = plan.pipeline.load
        try:
            result = await self._write(load_batch, plan_hash, plan)
        except BreakerOpen as away:
            if load.fallback is None or not isinstance(away, NeverReached):
                raise
            return await self._write_to_second(load_batch, plan_hash, plan, away)
        except (PermanentError, TransientError, PluginFailed) as error:
            may_pass = not isinstance(error, PermanentError)
            if load.fallback is None or (may_pass and not context.attempt.last):
                raise
            return await self._write_to_second(load_batch, plan_hash, plan, error)
        if load.on_failure == "retry":
            result = await self._try_again(load_batch, result, plan_hash, plan, context.clock)
        if load.fallback is not None and result.failed:
            rest = rows_that_failed(load_batch, result.failed)
            result += (await self._write(rest, second_key(plan_hash), fallen_back(plan))).as_second
        return result

    async def _write_to_second(self, load_batch: LoadBatch, plan_hash: str, plan: Plan, error: LoomError) -> Written:
        log.warning("batch goes to the second destination", batch_id=load_batch.batch_id, error=str(error))
        return (await self._write(load_batch, second_key(plan_hash), fallen_back(plan))).as_second

    async def _try_again(
        self, load_batch: LoadBatch, result: Written, plan_hash: str, plan: Plan, clock: Clock
    ) -> Written:
        """Write the rows that failed again. Each try is a batch of its own, so that it is in the ledger once, too; its
        id follows from the first's."""
        for attempt in range(1, plan.pipeline.load.max_attempts):
            if not result.failed:
                break
            await clock.sleep(pause_after(attempt, random.random()))  # noqa: S311 - spreads, hides nothing
            again = ids.message_id(load_batch.batch_id, "again", attempt)
            rest = replace(rows_that_failed(load_batch, result.failed), batch_id=again)
            result += await self._write(rest, plan_hash, plan)
        return result

    async def _write(self, load_batch: LoadBatch, key: str, plan: Plan) -> Written:
        async with self._lent(key, plan) as destination, self._guarding(destination):
            await failpoints.reach("before_load_commit")
            result = await destination.load(load_batch)
            await failpoints.reach("after_load_commit")
            return Written(result.loaded, result.loaded if destination.stages else 0, 0, result.failed)

    def _lent(self, key: str, plan: Plan) -> AbstractAsyncContextManager[Destination]:
        """Lend the destination of a plan."""
        return self._destinations.of(key, partial(self._open_destination, plan), (plan.pipeline.load.destination,))

    def _guarding(self, destination: Destination) -> AbstractAsyncContextManager[None]:
        """Let the destination's breaker learn whether it could be reached."""
        return self._breakers.guarding(f"destination {destination.location}")

    async def finalize(self, message: FinalizeLoad, _: Context) -> LoadFinalized:
        """Join the parts of a load, or drop them, in its destinations. Raises as `load` does."""
        plan = await self._plans.get(message.plan)
        second = None
        if plan.pipeline.load.fallback is not None:
            second = await self._finalize_one(message, second_key(message.plan), fallen_back(plan), keep=False)
        first = await self._finalize_one(message, message.plan, plan, keep=message.keep, batches=message.batches)
        return LoadFinalized(
            run_id=message.run_id,
            epoch=message.epoch,
            location=first.location,
            placed=first.placed,
            second_placed=second is None or second.placed,
            kept=message.keep and not first.placed,
        )

    async def _finalize_one(
        self, message: FinalizeLoad, key: str, plan: Plan, *, keep: bool, batches: int | None = None
    ) -> Finalized:
        async with self._lent(key, plan) as destination, self._guarding(destination):
            if message.drop:
                placed = await destination.drop(message.run_id)
            else:
                if message.complete and batches is not None and isinstance(destination, CountsStaged):
                    await destination.see_staged(message.run_id, batches)
                placed = await destination.finalize(message.run_id, complete=message.complete, keep=keep)
            return Finalized(destination.location, placed)


@dataclass(frozen=True, slots=True)
class Finalized:
    """Says where a destination's result lies, and whether a reader finds the run's rows there."""

    location: str
    placed: bool


def origin_of(header: BatchHeader, plan: Plan) -> str | None:
    """Return the run that first read a batch's records, where some of them may have been loaded by another run since:
    by a replay of what a run kept back, before that run was resumed or the records were replayed again. Else None."""
    if plan.replay is not None:
        return plan.replay.origin or plan.replay.run_id
    return header.run_id if header.epoch > 1 else None


def fallen_back(plan: Plan) -> Plan:
    """Return the plan with its second destination for its first."""
    return plan.model_copy(update={"pipeline": plan.pipeline.model_copy(update={"load": plan.pipeline.load.second})})


def second_key(plan_hash: str) -> str:
    """Return the key under which the second destination of a plan is kept open."""
    return f"{plan_hash}/fallback"
