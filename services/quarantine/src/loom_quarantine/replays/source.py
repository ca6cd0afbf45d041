"""Reads slices of quarantined records as the extractor reads a source."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from loom_common.async_engine import AsyncEngine
from loom_common.caching.plan_cache import PlanCache
from loom_common.contracts.v1 import Derived, ExtractSlice
from loom_common.domain.run.plan import Plan, contract_of
from loom_common.domain.run.stages import visited
from loom_common.domain.sequence import Lanes
from loom_common.errors import PermanentError, RecordError
from loom_common.flow import Stage
from loom_common.sealed_stages.handlers import SealedStages
from loom_common.sealing.sealer import Sealer
from loom_common.worker.context import Context
from loom_common.worker.slices import Slice, SliceRecord, cut, wanted
from loom_quarantine.replays import claims
from loom_quarantine.replays.checks import asks_the_source, changes_keys, checked, without_doubles
from loom_quarantine.replays.claims import KeptInput, TakenPage


class Replay:
    """Publishes batches of another run's unresolved records, as the plan's `replay` says. The cursor is the last row's
    id."""

    def __init__(self, plans: PlanCache, engine: AsyncEngine, sealed: SealedStages) -> None:
        """`sealed` opens sensitive fields of the records, and of edits."""
        self._plans = plans
        self._engine = engine
        self._sealed = sealed

    async def __call__(self, request: ExtractSlice, _: Context) -> Slice:
        """Raises `DependencyUnavailable`; `PermanentError` for a plan that replays nothing."""
        plan = await self._plans.get(request.plan)
        if plan.replay is None:
            raise PermanentError(f"Run {request.run_id} asks for a replay, but its plan names no run to replay.")
        extract = plan.pipeline.extract
        limit = wanted(request, extract.batch_size)
        taken = await claims.page(self._engine, plan.replay, request.run_id, request.cursor, limit)
        edits, opened = plan.replay.edits, _as_it_is
        if plan.pipeline.sensitive:
            sealer = await self._sealed.sealer(plan)
            edits, opened = sealer.opened_edits(edits), partial(_opened, sealer)
            taken = replace(taken, records=[opened(kept) for kept in taken.records])
        if plan.replay.outputs:
            return self._with_outputs(request, plan, taken)
        records = [checked(kept, edits, plan.pipeline) for kept in taken.records]
        if changes_keys(edits, plan.pipeline):
            before = await claims.before(self._engine, request.run_id, request.cursor)
            earlier = [checked(opened(kept), edits, plan.pipeline) for kept in before]
            records = without_doubles(records, earlier, extract.keys)
        return cut(
            request,
            records,
            extract=extract,
            cursor=taken.cursor,
            end=taken.end,
            on_failure=extract.on_failure,
            stages=visited(plan),
            unchecked=bool(extract.quality_checks)
            or contract_of(plan, Stage.EXTRACT) is not None
            or asks_the_source(records, extract.keys),
            lanes=Lanes.of(plan.pipeline.order_by, len(records), extract.batch_size),
        )

    def _with_outputs(self, request: ExtractSlice, plan: Plan, taken: TakenPage) -> Slice:
        """Return records as they were kept back, with the outputs that are judged again. A record without one was kept
        back before its transform, and is so again."""
        extract = plan.pipeline.extract
        return cut(
            request,
            [
                SliceRecord(kept.record_id, kept.record_data, _lacks_output(kept), Derived.of_json(kept.derived))
                for kept in taken.records
            ],
            extract=extract,
            cursor=taken.cursor,
            end=taken.end,
            on_failure="quarantine",
            stages=visited(plan),
            outputs={kept.record_id: kept.output for kept in taken.records if kept.output is not None},
            lanes=Lanes.of(plan.pipeline.order_by, len(taken.records), extract.batch_size),
        )


def _as_it_is(kept: KeptInput) -> KeptInput:
    return kept


def _opened(sealer: Sealer, kept: KeptInput) -> KeptInput:
    """Return a record whose sensitive fields can be read."""
    details, output = kept.error_details, kept.output
    return replace(
        kept,
        record_data=sealer.opened(kept.record_data),
        error_details=None if details is None else sealer.opened(details),
        output=None if output is None else sealer.opened(output),
    )


def _lacks_output(kept: KeptInput) -> RecordError | None:
    if kept.output is not None:
        return None
    return RecordError(kept.failure_reason, code=kept.code, details=kept.error_details or {})
