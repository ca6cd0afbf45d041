"""Compares verdicts and scores of two runs on the same records, with significance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Subquery, case, cast, func, select
from sqlalchemy.types import Integer

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.flow import Stage
from loom_common.statistics.paired import SignedRanks, mcnemar
from loom_coordinator.db.outputs.rescorings import WITHDRAWN
from loom_coordinator.db.tables.outcomes import quarantined, record_evaluations

_STEPS = 10_000
"""Differences of scores are compared to a ten-thousandth, so that their number is bounded."""


@dataclass(frozen=True, slots=True)
class VerdictChange(Shown):
    """Counts the records that both runs evaluated by what their gates said of them."""

    both_pass: int
    pass_now: int
    """The number of records that pass in the second run alone."""
    fail_now: int
    """The number of records that pass in the first run alone."""
    neither: int

    @property
    def p_value(self) -> float | None:
        """Return the p-value of McNemar's test, in its exact form; None where no verdict changed."""
        return mcnemar(self.pass_now, self.fail_now)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("both_pass", "pass_now", "fail_now", "neither", "p_value")}


@dataclass(frozen=True, slots=True)
class ScoreChange(Shown):
    """Compares the scores of one evaluator on the records that it scored in both runs."""

    evaluator: str
    records: int
    mean_before: float
    mean_after: float
    better: int
    worse: int
    p_value: float | None
    """Wilcoxon's signed-rank test; None where no score differs."""


@dataclass(frozen=True, slots=True)
class ChangedRecord(Shown):
    """Shows what two runs said of a record."""

    record_id: str
    passed_before: bool
    passed_after: bool
    scores_before: Mapping[str, float]
    scores_after: Mapping[str, float]


async def verdicts(connection: AsyncConnection, before: str, after: str) -> VerdictChange | None:
    """Return how the verdicts changed; None where there is no record that both runs evaluated."""
    both = _verdicts(before, after)
    query = select(both.c.before, both.c.after, func.count()).group_by(both.c.before, both.c.after)
    counts = {(bool(was), bool(now)): number for was, now, number in await connection.execute(query)}
    if not counts:
        return None
    pairs = ((True, True), (False, True), (True, False), (False, False))
    return VerdictChange(*(counts.get(pair, 0) for pair in pairs))


async def scores(connection: AsyncConnection, before: str, after: str) -> list[ScoreChange]:
    """Return how the scores of each evaluator of both runs changed, by its name."""
    first, second = record_evaluations.alias(), record_evaluations.alias()
    step = cast(func.round((second.c.score - first.c.score) * _STEPS), Integer).label("step")
    rows = await connection.execute(
        select(first.c.evaluator_name, step, func.count(), func.sum(first.c.score), func.sum(second.c.score))
        .join(
            second,
            (second.c.record_id == first.c.record_id) & (second.c.evaluator_name == first.c.evaluator_name),
        )
        .where(
            first.c.run_id == before,
            second.c.run_id == after,
            first.c.score.is_not(None),
            second.c.score.is_not(None),
        )
        .group_by(first.c.evaluator_name, step)
        .order_by(first.c.evaluator_name)
    )
    found: dict[str, _Added] = {}
    for name, difference, number, was, now in rows:
        found.setdefault(name, _Added()).add(difference, number, was, now)
    return [each.change(name) for name, each in found.items()]


class _Added:
    """Adds up the differences of one evaluator."""

    def __init__(self) -> None:
        self._ranks = SignedRanks()
        self._records = self._better = self._worse = 0
        self._before = self._after = 0.0

    def add(self, difference: int, number: int, before: float, after: float) -> None:
        self._ranks.add(float(difference), number)
        self._records += number
        self._better += number if difference > 0 else 0
        self._worse += number if difference < 0 else 0
        self._before += before
        self._after += after

    def change(self, name: str) -> ScoreChange:
        means = self._before / self._records, self._after / self._records
        return ScoreChange(name, self._records, *means, self._better, self._worse, self._ranks.p_value())


async def changed(connection: AsyncConnection, before: str, after: str, limit: int) -> list[ChangedRecord]:
    """Return records of which the two runs say different things by their gates, at most `limit`, in the order of
    their ids."""
    both = _verdicts(before, after)
    query = select(both.c.record_id, both.c.before, both.c.after).where(both.c.before != both.c.after)
    rows = (await connection.execute(query.order_by(both.c.record_id).limit(limit))).all()
    names = [name for name, _, _ in rows]
    first, second = await scores_of(connection, before, names), await scores_of(connection, after, names)
    return [
        ChangedRecord(name, bool(was), bool(now), first.get(name, {}), second.get(name, {})) for name, was, now in rows
    ]


async def scores_of(connection: AsyncConnection, run_id: str, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the scores of a few records, by record and evaluator."""
    said = record_evaluations.c
    query = select(said.record_id, said.evaluator_name, said.score)
    query = query.where(said.run_id == run_id, said.record_id.in_(names), said.score.is_not(None))
    found: dict[str, dict[str, float]] = {}
    for record_id, name, score in await connection.execute(query):
        found.setdefault(record_id, {})[name] = score
    return found


def _verdicts(before: str, after: str) -> Subquery:
    """Return, of each record that both runs evaluated, whether it passed in each."""
    first, second = _of(before, "first"), _of(after, "second")
    return (
        select(first.c.record_id, first.c.passed.label("before"), second.c.passed.label("after"))
        .join(second, second.c.record_id == first.c.record_id)
        .subquery()
    )


def _of(run_id: str, name: str) -> Subquery:
    evaluated = (
        select(record_evaluations.c.record_id).where(record_evaluations.c.run_id == run_id).distinct().subquery()
    )
    kept = quarantined.alias()
    gated: list[ColumnElement[bool]] = [
        kept.c.record_id == evaluated.c.record_id,
        kept.c.run_id == run_id,
        kept.c.failure_stage == Stage.EVALUATE.value,
        kept.c.code != WITHDRAWN,
    ]
    passed = case((kept.c.record_id.is_(None), 1), else_=0).label("passed")
    condition = gated[0]
    for each in gated[1:]:
        condition &= each
    return select(evaluated.c.record_id, passed).outerjoin(kept, condition).subquery(name)
