"""Keeps the windows of the running runs in `pipeline_runs`. The rules are in `windows.py`."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, func, select

from loom_common.flow import Stage, work_queue
from loom_coordinator.db import run_rows, run_totals
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import partitions
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import windows
from loom_coordinator.flow_control.fleet_load import FleetLoad
from loom_coordinator.flow_control.windows import CreditState, StageThroughput

_QUEUES = tuple(work_queue(stage) for stage in Stage if stage is not Stage.EXTRACT)
"""Names the queues that a run's batches wait in."""
_RELEASED = (
    select(func.coalesce(func.sum(partitions.c.released), 0))
    .where(partitions.c.run_id == pipeline_runs.c.run_id)
    .scalar_subquery()
)
_RUNNING = select(
    pipeline_runs.c.run_id, pipeline_runs.c.priority, pipeline_runs.c.credit_window, _RELEASED.label("released")
).where(
    pipeline_runs.c.status == run_rows.RUNNING,
    pipeline_runs.c.owner.is_not_distinct_from(bindparam("owner", type_=pipeline_runs.c.owner.type)),
)


async def follow_the_fleet(unit: UnitOfWork, loads: Mapping[str, FleetLoad]) -> None:
    """Set the window of every running run by what the fleet does; that of a run which is locked just now, the next
    time. A young run is paced by what it has come to, too: what the fleet has said of itself may be older."""
    stages = stages_of(loads)
    columns = pipeline_runs.c
    running = await unit.connection.execute(
        select(columns.run_id, columns.started_at, columns.slice_batches, columns.credit_window, columns.least_window)
        .where(columns.status == run_rows.RUNNING, columns.owner.is_not_distinct_from(unit.owner))
        .order_by(columns.run_id)
        .with_for_update(skip_locked=True)
    )
    rows = running.all()
    totals = await run_totals.read(unit, [run_id for run_id, *_ in rows])
    for run_id, started_at, slice_batches, before, least in rows:
        done, age = totals.get(run_id, run_totals.NOTHING).done, (unit.now - started_at).total_seconds()
        own = windows.own_throughput(done, age) if stages else []
        window = max(windows.paced_window(windows.full_window(slice_batches), [*stages, *own]), least or 0)
        if window != before:
            await run_rows.change(unit, run_id, credit_window=window)


async def shared(unit: UnitOfWork) -> dict[str, int]:
    """Return the window of every running run by its id, shared among those that run together."""
    rows = await unit.connection.execute(_RUNNING, {"owner": unit.owner})
    return windows.shared_windows(
        {run_id: CreditState(priority, int(given), window) for run_id, priority, window, given in rows.all()}
    )


def stages_of(loads: Mapping[str, FleetLoad]) -> list[StageThroughput]:
    """Return what the replicas of each stage can do, by their last heartbeats. The extractor's messages are slices, not
    batches, and do not count."""
    known = (loads[queue] for queue in _QUEUES if queue in loads)
    return [StageThroughput(each.replicas * max(each.prefetch, default=0), each.handled) for each in known]
