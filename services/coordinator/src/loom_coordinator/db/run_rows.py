"""Run rows: read, lock and change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import RowMapping, select, update

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunEpoch
from loom_coordinator.db.tables import pipeline_runs
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


async def lock(unit: UnitOfWork, run_ids: Iterable[str]) -> dict[str, RowMapping]:
    """The rows of these runs, locked until the unit ends; in a fixed order, so that none deadlock."""
    statement = (
        select(pipeline_runs)
        .where(pipeline_runs.c.run_id.in_(list(run_ids)))
        .order_by(pipeline_runs.c.run_id)
        .with_for_update()
    )
    rows = (await unit.connection.execute(statement)).mappings()
    return {row["run_id"]: row for row in rows}


async def change(unit: UnitOfWork, run_id: str, **values: Any) -> None:
    """Set columns of a run."""
    await unit.connection.execute(update(pipeline_runs).where(pipeline_runs.c.run_id == run_id).values(**values))


async def raise_epoch(unit: UnitOfWork, run: RowMapping, **values: Any) -> int:
    """Make everything on its way for this run stale, and tell every worker so."""
    epoch = int(run["epoch"]) + 1
    await change(unit, run["run_id"], epoch=epoch, **values)
    unit.send(Outgoing(flow.control("all"), RunEpoch(run_id=run["run_id"], epoch=epoch), mandatory=False))
    return epoch
