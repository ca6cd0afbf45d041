"""Records what runs paid for by day, stage, purpose and model: each call once, in its fact's transaction."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import StageCalls
from loom_common.domain.run.calls import AMOUNTS, Calls, summed
from loom_coordinator.accounting.batches import Paid
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import pipeline_costs, run_calls
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

_SUMS = [func.sum(run_calls.c[name]).label(name) for name in AMOUNTS]
_KIND = (run_calls.c.stage, run_calls.c.purpose, run_calls.c.provider, run_calls.c.model)


async def book(unit: UnitOfWork, paid: Iterable[Paid]) -> None:
    """Add to the books of the runs, on today (UTC). The runs are locked by the caller."""
    by_stage: dict[tuple[str, str], list[Calls]] = {}
    for run_id, stage, calls in paid:
        by_stage.setdefault((run_id, stage.value), []).extend(calls)
    rows = [
        {"run_id": run_id, "date": unit.now.date(), "stage": stage, **each.model_dump()}
        for (run_id, stage), calls in sorted(by_stage.items())
        for each in summed(calls)
    ]
    if not rows:
        return
    statement = unit.insert(run_calls)
    added = {name: run_calls.c[name] + statement.excluded[name] for name in AMOUNTS}
    key = [column.name for column in run_calls.primary_key]
    await unit.connection.execute(statement.on_conflict_do_update(index_elements=key, set_=added), rows)


async def of_run(connection: AsyncConnection, run_id: str) -> tuple[StageCalls, ...]:
    """Return what a run paid for so far."""
    rows = await connection.execute(
        select(*_KIND, *_SUMS).where(run_calls.c.run_id == run_id).group_by(*_KIND).order_by(*_KIND)
    )
    return tuple(StageCalls(**row) for row in rows.mappings())


async def cost_of_run(connection: AsyncConnection, run_id: str) -> float:
    """Return the USD that are booked on a run."""
    total = select(func.coalesce(func.sum(run_calls.c.cost), 0.0)).where(run_calls.c.run_id == run_id)
    return float((await connection.execute(total)).scalar_one())


async def add_up(unit: UnitOfWork, run: Run) -> None:
    """Add up the pipeline's rows in `pipeline_costs` for every day on which the run cost something, and for today. A
    run's records count on the day it ended, its money on the days it was spent."""
    days = set(
        (await unit.connection.execute(select(run_calls.c.date).where(run_calls.c.run_id == run.run_id))).scalars()
    )
    pipeline = run.pipeline_name
    await unit.upsert(pipeline_costs, [await _day(unit, pipeline, each) for each in sorted(days | {unit.now.date()})])


async def _day(unit: UnitOfWork, pipeline: str, day: dt.date) -> dict[str, Any]:
    begins = dt.datetime.combine(day, dt.time(), dt.UTC)
    runs = pipeline_runs.c
    ended = (
        await unit.connection.execute(
            select(func.count(), func.coalesce(func.sum(runs.records_processed), 0)).where(
                runs.pipeline_name == pipeline,
                runs.completed_at >= begins,
                runs.completed_at < begins + dt.timedelta(days=1),
            )
        )
    ).one()
    spent = await unit.connection.execute(
        select(*_KIND, *_SUMS)
        .join(pipeline_runs, runs.run_id == run_calls.c.run_id)
        .where(runs.pipeline_name == pipeline, run_calls.c.date == day)
        .group_by(*_KIND)
    )
    calls = [StageCalls(**row) for row in spent.mappings()]
    return {"pipeline_name": pipeline, "date": day, "updated_at": unit.now, **_figures(ended[0], ended[1], calls)}


def _figures(count: int, records: int, spent: Sequence[StageCalls]) -> dict[str, Any]:
    total = math.fsum(each.cost for each in spent)
    return {
        "total_runs": count,
        "total_records_processed": int(records),
        "total_cost": total,
        "cost_by_stage": _cost_by((each.stage, each.cost) for each in spent),
        "cost_by_model": _cost_by((each.model, each.cost) for each in spent),
        "cost_by_purpose": _cost_by((each.purpose, each.cost) for each in spent),
        "calls": sum(each.made for each in spent),
        "tokens_in": sum(each.tokens_in for each in spent),
        "tokens_out": sum(each.tokens_out for each in spent),
        "avg_cost_per_run": total / count if count else None,
        "avg_cost_per_record": total / records if records else None,
    }


def _cost_by(spent: Iterable[tuple[str, float]]) -> dict[str, float]:
    costs: dict[str, float] = {}
    for name, cost in spent:
        costs[name] = costs.get(name, 0.0) + cost
    return costs
