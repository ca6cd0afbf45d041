"""Asks both databases how the scores of whole runs are distributed, and how those of two runs differ."""

from __future__ import annotations

import pytest

from loom_coordinator.db.tables.outcomes import record_evaluations
from loom_coordinator.queries.scores import compared, histograms
from support.run_rows import NOW, add_run, begun_run

EDGES = {"a": 0.0, "b": 0.01, "c": 0.29, "d": 0.57, "e": 0.575, "f": 0.999, "g": 1.0}
"""Holds scores whose hundredfold is not what it seems in binary, and both ends."""


@pytest.fixture
async def connection(engine):
    """Provide two runs, of which the second scores one record lower, one higher, and one not at all."""
    async with begun_run(engine) as unit:
        await add_run(unit, run_id="run_2")
        await say(unit, "run_1", EDGES)
        await say(unit, "run_2", {**EDGES, "c": 0.1, "b": 0.5, "h": 0.3, "g": None})
        yield unit.connection


async def say(unit, run_id, scores):
    for record, score in scores.items():
        said = {"run_id": run_id, "record_id": record, "evaluator_name": "exact", "score": score}
        await unit.connection.execute(
            record_evaluations.insert().values(**said, passed=score is not None and score >= 0.5, evaluated_at=NOW)
        )


async def test_every_score_is_counted_with_the_hundredth_that_it_reaches(connection):
    [found] = await histograms.of_run(connection, "run_1")
    reached = {place: number for place, number in enumerate(found.counts) if number}
    assert reached == {0: 1, 1: 1, 29: 1, 57: 2, 99: 1, 100: 1}
    assert (found.records, found.passed) == (7, 4)


async def test_two_runs_are_compared_by_the_records_that_both_scored(connection):
    [delta] = await compared.deltas(connection, "run_1", "run_2")
    assert (delta.records, delta.better, delta.worse) == (6, 1, 1)
    assert (delta.same, delta.p_value) == (4, 1.0)
    assert delta.mean_after - delta.mean_before == pytest.approx((0.49 - 0.19) / 6)
    changed = await compared.most_changed(connection, "run_1", "run_2")
    assert [each.record_id for each in changed] == ["b", "c"]
