"""Reads, locks and changes rows of `pipeline_runs`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunEpoch
from loom_common.errors import ConfigurationError
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

RUNNING = "running"
PAUSED = "paused"
SUCCEEDED = "succeeded"
PARTIAL = "partial"
FAILED = "failed"
CANCELLED = "cancelled"
FAILURE_LIMIT = "failure_limit"
"""The reason of an end, as it stands in `pipeline_runs.reason`: a limit of failed records was passed."""
TERMINAL = frozenset({SUCCEEDED, PARTIAL, FAILED, CANCELLED})


async def lock(unit: UnitOfWork, run_ids: Iterable[str]) -> dict[str, Run]:
    """Lock the rows of these runs until the unit ends, in a fixed order, so that none deadlock."""
    statement = (
        select(pipeline_runs)
        .where(pipeline_runs.c.run_id.in_(list(run_ids)))
        .order_by(pipeline_runs.c.run_id)
        .with_for_update()
    )
    rows = (await unit.connection.execute(statement)).mappings()
    return {row["run_id"]: Run.of(row) for row in rows}


async def find(connection: AsyncConnection, run_id: str) -> Run | None:
    """Return the run as it stands now, without a lock; None where there is no such run."""
    rows = await connection.execute(select(pipeline_runs).where(pipeline_runs.c.run_id == run_id))
    row = rows.mappings().one_or_none()
    return None if row is None else Run.of(row)


def unknown(run_id: str) -> ConfigurationError:
    """Return the error for a run that has no row."""
    return ConfigurationError(
        f"There is no run {run_id} in the coordinator's state database. `loom history PIPELINE` lists the runs of a "
        "pipeline, and `loom-coordinator runs` those of a cluster."
    )


async def change(unit: UnitOfWork, run_id: str, **values: Any) -> None:
    """Set columns of a run."""
    await unit.connection.execute(update(pipeline_runs).where(pipeline_runs.c.run_id == run_id).values(**values))


async def want(connection: AsyncConnection, run_id: str, verb: str) -> None:
    """Leave a command for the process that owns the run: its sweeper carries it out."""
    await connection.execute(update(pipeline_runs).where(pipeline_runs.c.run_id == run_id).values(wanted=verb))


async def raise_epoch(unit: UnitOfWork, run: Run, **values: Any) -> int:
    """Make everything on its way for this run stale, and tell every worker so."""
    epoch = run.epoch + 1
    await change(unit, run.run_id, epoch=epoch, **values)
    unit.send(Outgoing(flow.control("all"), RunEpoch(run_id=run.run_id, epoch=epoch), mandatory=False))
    return epoch
