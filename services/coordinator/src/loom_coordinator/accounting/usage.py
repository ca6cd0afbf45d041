"""Records what runs paid for by day, stage, purpose and model: each call once, in its fact's transaction."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, false, func, or_, select, update

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import StageCalls
from loom_common.domain.run.calls import AMOUNTS, Calls, summed
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import pipeline_costs, run_calls
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from loom_coordinator.accounting.batches import Paid

_SUMS = [func.sum(run_calls.c[name]).label(name) for name in AMOUNTS]
_KIND = (run_calls.c.stage, run_calls.c.purpose, run_calls.c.provider, run_calls.c.model)
_COST = select(func.coalesce(func.sum(run_calls.c.cost), 0.0)).where(run_calls.c.run_id == bindparam("run_id"))
_DAYS = select(run_calls.c.date).where(run_calls.c.run_id == bindparam("run_id"))
_OF_RUN = select(*_KIND, *_SUMS).where(run_calls.c.run_id == bindparam("run_id")).group_by(*_KIND).order_by(*_KIND)


_UNSETTLED = (pipeline_runs.c.pipeline_name == bindparam("pipeline"), pipeline_runs.c.settled == false())
_BEGINS = bindparam("begins", type_=pipeline_runs.c.completed_at.type)
_ENDS = bindparam("ends", type_=pipeline_runs.c.completed_at.type)
_ON_THE_DAY = bindparam("day", type_=run_calls.c.date.type)
_SETTLED = select(pipeline_costs.c.settled).where(
    pipeline_costs.c.pipeline_name == bindparam("pipeline"), pipeline_costs.c.date == _ON_THE_DAY
)
_ENDED = select(
    _SETTLED.scalar_subquery(), func.count(), func.coalesce(func.sum(pipeline_runs.c.records_processed), 0)
).where(*_UNSETTLED, pipeline_runs.c.completed_at >= _BEGINS, pipeline_runs.c.completed_at < _ENDS)
_SPENT = (  # a run that paid on a day has ended on that day, or later, or has not
    select(*_KIND, *_SUMS)
    .join(pipeline_runs, pipeline_runs.c.run_id == run_calls.c.run_id)
    .where(*_UNSETTLED, run_calls.c.date == _ON_THE_DAY)
    .where(or_(pipeline_runs.c.completed_at.is_(None), pipeline_runs.c.completed_at >= _BEGINS))
    .group_by(*_KIND)
)


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
    rows = await connection.execute(_OF_RUN, {"run_id": run_id})
    return tuple(StageCalls(**row) for row in rows.mappings())


async def cost_of_run(connection: AsyncConnection, run_id: str) -> float:
    """Return the USD that are booked on a run."""
    return float((await connection.execute(_COST, {"run_id": run_id})).scalar_one())


async def add_up(unit: UnitOfWork, run: Run) -> None:
    """Add up the pipeline's rows in `pipeline_costs` for every day on which the run cost something, and for today. A
    run's records count on the day it ended, its money on the days it was spent."""
    days = set((await unit.connection.execute(_DAYS, {"run_id": run.run_id})).scalars())
    pipeline = run.pipeline_name
    await unit.upsert(pipeline_costs, [await _day(unit, pipeline, each) for each in sorted(days | {unit.now.date()})])


async def settle(unit: UnitOfWork, pipeline: str, run_ids: Sequence[str]) -> None:
    """Add what ended runs of a pipeline came to, which nothing changes any more, to its days. Sums of a day take them
    from there, and look at these runs no more."""
    runs = pipeline_runs.c
    mine = (unit.among(runs.run_id, run_ids), runs.settled == false(), runs.completed_at.is_not(None))
    ended = await unit.connection.execute(select(runs.completed_at, runs.records_processed).where(*mine))
    days: dict[dt.date, _Settled] = {}
    for completed_at, records in ended:
        day = days.setdefault(completed_at.date(), _Settled())
        day.runs, day.records = day.runs + 1, day.records + records
    spent = await unit.connection.execute(
        select(run_calls.c.date, *_KIND, *_SUMS)
        .join(pipeline_runs, runs.run_id == run_calls.c.run_id)
        .where(*mine)
        .group_by(run_calls.c.date, *_KIND)
    )
    for row in spent.mappings():
        calls = StageCalls(**{name: value for name, value in row.items() if name != "date"})
        days.setdefault(row["date"], _Settled()).calls.append(calls)
    table = pipeline_costs
    for date, day in sorted(days.items()):
        first = {"pipeline_name": pipeline, "date": date, "updated_at": unit.now}
        await unit.upsert(table, [first], update=())
        here = (table.c.pipeline_name == pipeline, table.c.date == date)
        before = await unit.connection.scalar(select(table.c.settled).where(*here).with_for_update())
        after = _Settled.of(before).joined(day)
        await unit.connection.execute(update(table).where(*here).values(settled=after.row()))
    await unit.connection.execute(update(pipeline_runs).where(*mine).values(settled=True))


async def _day(unit: UnitOfWork, pipeline: str, day: dt.date) -> dict[str, Any]:
    begins = dt.datetime.combine(day, dt.time(), dt.UTC)
    given = {"pipeline": pipeline, "day": day, "begins": begins, "ends": begins + dt.timedelta(days=1)}
    kept, count, records = (await unit.connection.execute(_ENDED, given)).one()
    settled = _Settled.of(kept)
    spent = await unit.connection.execute(_SPENT, given)
    calls = [*settled.calls, *(StageCalls(**row) for row in spent.mappings())]
    figures = _figures(settled.runs + count, settled.records + int(records), calls)
    return {"pipeline_name": pipeline, "date": day, "updated_at": unit.now, **figures}


@dataclass
class _Settled:
    """Holds `pipeline_costs.settled`: what those runs of a day came to that nothing changes any more."""

    runs: int = 0
    records: int = 0
    calls: list[StageCalls] = field(default_factory=list)

    @staticmethod
    def of(row: Mapping[str, Any] | None) -> _Settled:
        if row is None:
            return _Settled()
        return _Settled(row["runs"], row["records"], [StageCalls(**each) for each in row["calls"]])

    def joined(self, other: _Settled) -> _Settled:
        by_stage: dict[str, list[Calls]] = {}
        for each in (*self.calls, *other.calls):
            by_stage.setdefault(each.stage, []).append(each)
        calls = [
            StageCalls(stage=stage, **each.model_dump(include=set(Calls.model_fields)))
            for stage, lines in sorted(by_stage.items())
            for each in summed(lines)
        ]
        return _Settled(self.runs + other.runs, self.records + other.records, calls)

    def row(self) -> dict[str, Any]:
        return {"runs": self.runs, "records": self.records, "calls": [each.model_dump() for each in self.calls]}


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
