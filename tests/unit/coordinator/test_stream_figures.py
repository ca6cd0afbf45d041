"""Tests what the scores of the runs of a stream come to."""

from __future__ import annotations

import pytest

from loom_coordinator.db import run_rows
from loom_coordinator.db.tables.outcomes import evaluation_results, record_evaluations
from loom_coordinator.lifecycle.streams.figures import mean_score
from support.run_rows import NOW, add_run, run_state


@pytest.fixture
async def unit():
    async with run_state() as unit:
        yield unit


async def ended(unit, run_id, **evaluators):
    """Enter a run that has ended. Each evaluator has a mean, and the number of records that it judged."""
    run = await add_run(unit, run_id=run_id, status=run_rows.SUCCEEDED, completed_at=NOW)
    await added_up(unit, run_id, **evaluators)
    return run


async def added_up(unit, run_id, **evaluators):
    for name, (mean, size) in evaluators.items():
        row = {"run_id": run_id, "evaluator_name": name, "evaluator_type": "code", "created_at": NOW}
        await unit.connection.execute(evaluation_results.insert(), {**row, "mean_score": mean, "sample_size": size})


async def going(unit, run_id, *scores):
    run = await add_run(unit, run_id=run_id)
    await score(unit, run_id, *scores)
    return run


async def score(unit, run_id, *scores):
    """Enter the scores of the records of a run."""
    for number, each in enumerate(scores):
        row = {"run_id": run_id, "record_id": f"r{number}", "evaluator_name": "fit", "score": each}
        await unit.connection.execute(record_evaluations.insert(), {**row, "passed": True, "evaluated_at": NOW})


async def test_runs_that_have_ended_count_by_the_number_of_their_scores(unit):
    runs = [await ended(unit, "large", fit=(0.9, 30)), await ended(unit, "small", fit=(0.5, 5), tone=(0.1, 5))]
    await ended(unit, "of another stream", fit=(0.0, 100))
    assert await mean_score(unit.connection, runs) == pytest.approx((27 + 2.5 + 0.5) / 40)


async def test_runs_that_go_on_count_by_the_scores_of_their_records(unit):
    runs = [await going(unit, "one", 1.0, 0.5, None), await going(unit, "two", 0.0)]
    await going(unit, "of another stream", 0.9)
    assert await mean_score(unit.connection, runs) == pytest.approx(0.5)


async def test_no_score_is_counted_twice_and_none_is_left_out(unit):
    over, under_way = await ended(unit, "over", fit=(1.0, 3)), await going(unit, "going", 0.2)
    await score(unit, "over", 1.0, 1.0, 1.0)  # they stay beside what was added up
    assert await mean_score(unit.connection, [over, under_way]) == pytest.approx(0.8)


async def test_a_run_that_was_resumed_counts_by_its_records_and_not_by_what_was_added_up_before(unit):
    resumed = await going(unit, "resumed", 1.0, 0.0)
    await added_up(unit, "resumed", fit=(1.0, 1))
    assert await mean_score(unit.connection, [resumed]) == pytest.approx(0.5)


async def test_where_nothing_is_judged_there_is_no_score(unit):
    assert await mean_score(unit.connection, []) is None
    assert await mean_score(unit.connection, [await ended(unit, "over"), await going(unit, "going")]) is None


async def test_a_score_of_zero_is_one(unit):
    assert await mean_score(unit.connection, [await going(unit, "going", 0.0)]) == 0.0
