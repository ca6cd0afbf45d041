"""Queries how a run's cost grew, and how long its models took to answer, from its beginning to now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values.latency import merge, percentile
from loom_coordinator.db.tables.work import batches

_MOST_BATCHES = 4000
"""The most batches whose answers are looked at. Of more, the slices at even distances are."""


@dataclass(frozen=True, slots=True)
class Moment(Shown):
    """Describes one part of the time of a run, of which all are equally long."""

    until: dt.datetime
    cost: float
    """The USD spent from the beginning of the run up to the end of this part."""
    latency: float | None
    """The 95th percentile of the seconds that models took to answer; None where none answered for a batch that was last
    heard of in this part."""


async def over_time(connection: AsyncConnection, run_id: str, began: dt.datetime, parts: int) -> Sequence[Moment]:
    """Return the course of a run since it `began`, in so many parts, as far as its batches tell; none where they are
    removed."""
    table = batches.c
    chosen = table.run_id == run_id
    whole = select(func.count(), func.max(table.updated_at), func.max(table.slice)).where(chosen)
    number, last, slices = (await connection.execute(whole)).one()
    if not number:
        return []
    step = max(1, min(slices + 1, number // _MOST_BATCHES))
    spent = select(table.updated_at, func.sum(table.cost_transform + table.cost_evaluate)).where(chosen)
    answered = select(table.updated_at, table.latency).where(chosen, table.slice % step == 0)
    paid = (await connection.execute(spent.group_by(table.updated_at))).all()
    took = (await connection.execute(answered)).all()
    return _course(began, max(began, last), paid, took, parts)


def _course(
    first: dt.datetime, last: dt.datetime, paid: Sequence[Any], took: Sequence[Any], parts: int
) -> Sequence[Moment]:
    """Add up what was heard of at each moment, by the part of the time that it lies in. Pure."""
    width = (last - first) / parts or dt.timedelta(microseconds=1)
    costs = [0.0] * parts
    answers: list[dict[int, int]] = [{} for _ in range(parts)]
    for at, cost in paid:
        costs[_place(at, first, width, parts)] += cost
    for at, latency in took:
        merge(answers[_place(at, first, width, parts)], {int(bucket): count for bucket, count in latency.items()})
    found, total = [], 0.0
    for place, (cost, histogram) in enumerate(zip(costs, answers, strict=True), start=1):
        total += cost
        found.append(Moment(first + width * place, total, percentile(histogram, 0.95)))
    return found


def _place(at: dt.datetime, first: dt.datetime, width: dt.timedelta, parts: int) -> int:
    """Return the part in which a moment lies. Clocks of coordinators differ, so that it may lie before the first."""
    return max(0, min(parts - 1, int((at - first) / width)))
