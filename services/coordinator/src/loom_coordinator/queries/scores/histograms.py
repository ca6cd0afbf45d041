"""Queries how the scores of a run are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, case, cast, func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.tables.outcomes import record_evaluations

STEPS = 100
"""The number of equal parts that the scores from 0 to 1 are cut into. A score of 1 is counted by itself."""
_DOWN = 0.5 - 1e-7
"""Makes `round` round down on every database; a score such as 0.29, whose hundredfold is a little below 29, counts with
29."""


@dataclass(frozen=True, slots=True)
class ScoreHistogram(Shown):
    """Counts the scores that one evaluator gave the records of a run."""

    evaluator_name: str
    counts: Sequence[int]
    """Holds `STEPS` + 1 numbers of records: that at position n counts scores from n / `STEPS` on."""
    passed: int
    """The number of records that passed, as the run judged them."""

    @property
    def records(self) -> int:
        """Return the number of records that it scored."""
        return sum(self.counts)


async def of_run(connection: AsyncConnection, run_id: str) -> list[ScoreHistogram]:
    """Return the scores of each evaluator, by the evaluator's name."""
    said = record_evaluations.c
    step = cast(func.round(said.score * STEPS - _DOWN), Integer).label("step")
    passed = func.sum(case((said.passed.is_(True), 1), else_=0))
    rows = await connection.execute(
        select(said.evaluator_name, step, func.count(), passed)
        .where(said.run_id == run_id, said.score.is_not(None))
        .group_by(said.evaluator_name, step)
        .order_by(said.evaluator_name)
    )
    counts: dict[str, list[int]] = {}
    passes: dict[str, int] = {}
    for name, place, number, through in rows:
        found = counts.setdefault(name, [0] * (STEPS + 1))
        found[min(max(place, 0), STEPS)] += number
        passes[name] = passes.get(name, 0) + through
    return [ScoreHistogram(name, found, passes[name]) for name, found in counts.items()]
