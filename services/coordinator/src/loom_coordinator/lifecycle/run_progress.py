"""Computes where a run stands, for those who watch it, and tells them that it is paused."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchUnderWay, RunProgress, StageProgress
from loom_common.flow import Stage
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.work import batches
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import slices

_ORDER = tuple(Stage)


async def progress(unit: UnitOfWork, run: Run, under_way: Sequence[BatchUnderWay] = ()) -> RunProgress:
    """Return the progress of a run at this moment. `under_way` are the batches in flight: their finished records count
    before the batch is finished."""
    run_id = run.run_id
    tally = run.totals.tally
    begun = await _begun(unit, run_id, under_way)
    counts = {
        Stage.EXTRACT: (tally.extracted, tally.extracted),
        Stage.TRANSFORM: (tally.extracted + tally.derived - tally.unnested - tally.grouped, tally.transformed),
        Stage.EVALUATE: (tally.transformed, tally.passed + tally.rejected),
        Stage.LOAD: (tally.passed, tally.loaded),
    }
    return RunProgress(
        run_id=run_id,
        pipeline=run.pipeline_name,
        epoch=run.epoch,
        status=run.status,
        tally=tally,
        total=tally.entered if await slices.exhausted(unit, run_id) else None,
        stages={
            stage: StageProgress(
                records_in=entered, records_out=left + begun.get(stage, 0), seconds=run.totals.worked(stage)
            )
            for stage, (entered, left) in counts.items()
        },
        elapsed=(unit.now - run.started_at).total_seconds(),
        notice=run.notice,
        reason=run.reason,
        resumes_at=run.resumes_at,
    )


async def paused(unit: UnitOfWork, run: Run, notice: str | None = None) -> None:
    """Pause a run that is at work, and tell it, with what it waits for. Workers drop what is on its way."""
    await run_rows.raise_epoch(
        unit, run, status=run_rows.PAUSED, finalizing=False, notice=notice, reason=None, resumes_at=None
    )
    now = (await run_rows.lock(unit, [run.run_id]))[run.run_id]
    told = await progress(unit, now)
    unit.send(Outgoing(flow.fact("run", "progress", told.pipeline), told, mandatory=False))


async def _begun(unit: UnitOfWork, run_id: str, under_way: Sequence[BatchUnderWay]) -> dict[Stage, int]:
    """Return how many more records each stage is done with than the facts tell: those that a later stage is done with
    have been through the stages before it."""
    if not under_way:
        return {}
    named = unit.among(batches.c.batch_id, {each.batch_id for each in under_way})
    rows = await unit.connection.execute(
        select(batches.c.batch_id, batches.c.stage).where(batches.c.run_id == run_id, named)
    )
    reached = {batch_id: Stage(stage) for batch_id, stage in rows}
    counts: dict[Stage, int] = {}
    for each in under_way:
        if each.batch_id in reached:
            for stage in _ORDER[_ORDER.index(reached[each.batch_id]) + 1 : _ORDER.index(each.stage) + 1]:
                counts[stage] = counts.get(stage, 0) + each.done
    return counts
