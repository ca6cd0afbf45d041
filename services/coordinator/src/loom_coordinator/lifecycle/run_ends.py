"""Tells that a run has ended, once its report holds all that there will be.

The end of a run that is cut short is written at once. At that moment the quarantine may not have stored what was kept
back, and the loader has not said what of the result can be read. So `RunFinished` follows when both have answered, and
after `PATIENCE` in any case, because one of them may be away. `pipeline_runs.tell_by` holds until when they are waited
for."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import bindparam, exists, select

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunFinished, RunRequest
from loom_common.domain.values.ids import spawn_key
from loom_coordinator.accounting.batches import IS_UNDERWAY
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import batches
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import run_report

PATIENCE = dt.timedelta(seconds=5)
_KEPT = batches.c.rejected + batches.c.skipped + batches.c.quarantined
_UNSTORED = select(exists().where(batches.c.run_id == bindparam("run_id"), IS_UNDERWAY, batches.c.kept < _KEPT))


async def tell_where_complete(unit: UnitOfWork, run_id: str) -> None:
    """Tell the end of a run that has ended, unless it was told, or an answer is missing that may still come. The run is
    locked by the caller."""
    run = await run_rows.find(unit.connection, run_id)
    assert run is not None
    if run.tell_by is None or (unit.now < run.tell_by and await an_answer_is_missing(unit, run)):
        return
    await run_rows.change(unit, run_id, tell_by=None)
    await tell(unit, run)


async def tell(unit: UnitOfWork, run: Run) -> None:
    """Tell the end of a run as it stands written, of which no answer is missing."""
    report = await run_report.of_run(unit.connection, run)
    finished = RunFinished(
        run_id=run.run_id, pipeline=run.pipeline_name, epoch=run.epoch, report=report, replay_of=run.replay_of
    )
    unit.send(Outgoing(flow.fact("run", "finished", run.pipeline_name), finished))


def ask_for_spawned(unit: UnitOfWork, run: Run) -> None:
    """Ask for the runs that a run of a cluster spawns when it succeeds, in the transaction that ends it. Their ids
    follow from its own, so that a request that is sent twice starts one. What an embedded run spawns, the process
    starts that has started it, as the pipelines are files there."""
    if unit.owner is not None:
        return
    for child in run.spawns:
        key = spawn_key(run.pipeline_name, run.run_id, child)
        request = RunRequest(pipeline=child, idempotency_key=key, requested_by=run.requested_by)
        unit.send(Outgoing(flow.run_command("request"), request))


async def overdue(unit: UnitOfWork) -> list[str]:
    """Return the runs of this coordinator whose end must be told now, whatever is missing."""
    waited = select(pipeline_runs.c.run_id).where(
        pipeline_runs.c.tell_by <= unit.now, pipeline_runs.c.owner.is_not_distinct_from(unit.owner)
    )
    return list((await unit.connection.execute(waited)).scalars())


async def an_answer_is_missing(unit: UnitOfWork, run: Run) -> bool:
    """Tell whether the loader is still finalizing, or the quarantine has not stored what is known to be kept back."""
    if run.finalizing:
        return True
    if not run.totals.tally.kept:
        return False  # nothing was kept back
    return bool((await unit.connection.execute(_UNSTORED, {"run_id": run.run_id})).scalar_one())
