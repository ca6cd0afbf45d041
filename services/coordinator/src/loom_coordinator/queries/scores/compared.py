"""Compares the scores that two runs gave the same records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.statistics.paired import sign_test
from loom_coordinator.db.tables.outcomes import record_evaluations


@dataclass(frozen=True, slots=True)
class ScoreDelta(Shown):
    """Compares what one evaluator said of the records that both runs scored."""

    evaluator_name: str
    records: int
    """The number of records that it scored in both runs."""
    mean_before: float
    mean_after: float
    better: int
    """The number of records whose score is higher in the second run."""
    worse: int

    @property
    def same(self) -> int:
        """Return the number of records whose score is equal in both."""
        return self.records - self.better - self.worse

    @property
    def p_value(self) -> float | None:
        """Return how likely so uneven a split between better and worse is by chance (two-sided sign test); None where
        no score differs."""
        return sign_test(self.better, self.worse)


@dataclass(frozen=True, slots=True)
class ChangedScore(Shown):
    """Shows a record whose score differs most between two runs."""

    record_id: str
    evaluator_name: str
    before: float
    after: float


async def deltas(connection: AsyncConnection, before: str, after: str) -> list[ScoreDelta]:
    """Return how the scores of run `after` differ from those of run `before`, by the evaluator's name."""
    first, second = record_evaluations.alias(), record_evaluations.alias()
    difference = second.c.score - first.c.score
    rows = await connection.execute(
        select(
            first.c.evaluator_name,
            func.count(),
            func.avg(first.c.score),
            func.avg(second.c.score),
            func.sum(case((difference > 0, 1), else_=0)),
            func.sum(case((difference < 0, 1), else_=0)),
        )
        .select_from(
            first.join(
                second,
                (second.c.record_id == first.c.record_id) & (second.c.evaluator_name == first.c.evaluator_name),
            )
        )
        .where(
            first.c.run_id == before,
            second.c.run_id == after,
            first.c.score.is_not(None),
            second.c.score.is_not(None),
        )
        .group_by(first.c.evaluator_name)
        .order_by(first.c.evaluator_name)
    )
    return [ScoreDelta(*row) for row in rows]


async def most_changed(connection: AsyncConnection, before: str, after: str, limit: int = 20) -> Sequence[ChangedScore]:
    """Return the records whose scores differ most between two runs, the greatest difference first."""
    first, second = record_evaluations.alias(), record_evaluations.alias()
    difference = func.abs(second.c.score - first.c.score)
    rows = await connection.execute(
        select(first.c.record_id, first.c.evaluator_name, first.c.score, second.c.score)
        .select_from(
            first.join(
                second,
                (second.c.record_id == first.c.record_id) & (second.c.evaluator_name == first.c.evaluator_name),
            )
        )
        .where(first.c.run_id == before, second.c.run_id == after, difference > 0)
        .order_by(difference.desc(), first.c.record_id, first.c.evaluator_name)
        .limit(limit)
    )
    return [ChangedScore(*row) for row in rows]
