"""Compares what a run was estimated to cost before it began with what it cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import StageCalls
from loom_coordinator.db.tables.outcomes import cost_estimates
from loom_coordinator.db.unit_of_work import UnitOfWork

KEPT = dt.timedelta(days=7)
"""An older estimate is not the one that was made for this run."""
_NEWEST = (
    select(cost_estimates.c.cost, cost_estimates.c.records)
    .where(
        cost_estimates.c.pipeline_name == bindparam("pipeline"),
        cost_estimates.c.created_at > bindparam("since", type_=cost_estimates.c.created_at.type),
    )
    .order_by(cost_estimates.c.id.desc())
    .limit(1)
)


async def newest(unit: UnitOfWork, pipeline: str) -> dict[str, Any] | None:
    """Return the last estimate of the pipeline, for a run that begins now: its `cost` in USD for so many `records`."""
    rows = await unit.connection.execute(_NEWEST, {"pipeline": pipeline, "since": unit.now - KEPT})
    row = rows.mappings().one_or_none()
    return dict(row) if row else None


async def keep(
    connection: AsyncConnection, pipeline: str, records: int, cost: float, cost_by_stage: Mapping[str, float]
) -> None:
    """Store an estimate: so many USD for so many records. The next run is compared with the newest one."""
    await connection.execute(
        cost_estimates.insert().values(
            pipeline_name=pipeline,
            records=records,
            cost=cost,
            cost_by_stage=dict(cost_by_stage),
            created_at=dt.datetime.now(dt.UTC),
        )
    )


def compared(
    estimate: Mapping[str, float] | None, spent: Sequence[StageCalls], records: int
) -> dict[str, float] | None:
    """Return the estimate, with its `error` where the run has paid for something: by which share the true cost is above
    what was estimated for as many records and paid answers. Answers that were reused cost nothing, and say nothing.
    Pure."""
    if estimate is None:
        return None
    made, reused = sum(each.made for each in spent), sum(each.reused for each in spent)
    cost = sum(each.cost for each in spent)
    expected = 0.0
    if made and estimate["records"]:
        expected = estimate["cost"] / estimate["records"] * records * made / (made + reused)
    return {**estimate, **({"error": cost / expected - 1} if expected > 0 else {})}
