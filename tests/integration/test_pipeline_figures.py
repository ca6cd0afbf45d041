"""Asks both databases what the newest runs of a pipeline come to, and `loom metrics` what it shows of it."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from loom.cli.commands import metrics
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies, usage
from loom_coordinator.db.tables.outcomes import record_evaluations
from loom_coordinator.queries import pipeline_figures
from support.run_rows import NOW, add_run, begun_run

CALLS = Calls(purpose="transform", provider="p", model="m", made=4, reused=1, tokens_out=100, cost=0.5, seconds=2.0)


@pytest.fixture
async def connection(engine):
    """Provide a run under way, one that succeeded, and a later one that failed; the last two have scores and calls."""
    async with begun_run(engine) as unit:
        for number, status in enumerate(("succeeded", "failed")):
            await add_run(
                unit,
                run_id=f"run_{number + 2}",
                status=status,
                started_at=NOW + dt.timedelta(minutes=number + 1),
                completed_at=NOW + dt.timedelta(minutes=5),
                duration_seconds=60.0 * (number + 1),
                **tallies.columns(Tally(extracted=10, transformed=10, passed=8, rejected=2, loaded=8)),
            )
            await usage.book(unit, [(f"run_{number + 2}", Stage.TRANSFORM, (CALLS,))])
            for record, score in (("a", 0.25 + number / 2), ("b", 0.75), ("c", None)):
                said = {"run_id": f"run_{number + 2}", "record_id": record, "evaluator_name": "fit", "score": score}
                passed = None if score is None else score >= 0.5
                await unit.connection.execute(
                    record_evaluations.insert().values(**said, passed=passed, evaluated_at=NOW)
                )
        yield unit.connection


async def test_the_newest_runs_are_added_up(connection):
    figures = await pipeline_figures.of_pipeline(connection, "p")
    assert figures is not None
    assert figures.runs == ["run_3", "run_2", "run_1"]
    assert (figures.statuses, figures.success_rate) == ({"failed": 1, "succeeded": 1, "running": 1}, 0.5)
    assert (figures.records["extracted"], figures.records["loaded"], figures.duration_seconds) == (20, 16, 90.0)
    assert (figures.calls, figures.calls_reused, figures.avg_latency_ms) == (8, 2, 500.0)
    assert (figures.total_cost, figures.cost_per_record) == (1.0, 0.05)
    fit = figures.evaluators["fit"]
    assert (fit.records, fit.mean_score, fit.pass_rate) == (4, 0.625, 0.75)
    assert (fit.min_score, fit.max_score) == (0.25, 0.75)
    assert figures.avg_evaluation_score == 0.625


async def test_one_run_stands_alone_and_so_do_the_newest_ones_that_are_asked_for(connection):
    one = await pipeline_figures.of_pipeline(connection, "p", "run_2")
    newest = await pipeline_figures.of_pipeline(connection, "p", newest=1)
    assert one is not None
    assert newest is not None
    assert (one.runs, one.total_cost, one.evaluators["fit"].mean_score) == (["run_2"], 0.5, 0.5)
    assert (newest.runs, newest.statuses) == (["run_3"], {"failed": 1})


async def test_there_are_no_figures_of_a_pipeline_or_a_run_that_nobody_knows(connection):
    assert await pipeline_figures.of_pipeline(connection, "q") is None
    assert await pipeline_figures.of_pipeline(connection, "p", "run_9") is None


async def test_what_there_is_nothing_to_tell_of_is_none(connection):
    figures = await pipeline_figures.of_pipeline(connection, "p", "run_1")
    assert figures is not None
    assert (figures.avg_latency_ms, figures.avg_evaluation_score) == (None, None)
    assert (figures.cost_per_record, figures.success_rate) == (None, None)
    assert metrics.lines(figures) == [
        "p: 1 run (1 running)",
        "records   0",
        "cost      $0.0000; 0 calls paid for, 0 reused",
    ]


async def test_the_figures_read_as_words(connection):
    figures = await pipeline_figures.of_pipeline(connection, "p")
    assert figures is not None
    assert metrics.lines(dataclasses.replace(figures, latency={"p50": 0.5, "p95": 1.25, "p99": None})) == [
        "p: 3 runs (1 failed, 1 running, 1 succeeded)",
        "records   20 extracted, 20 transformed, 16 passed, 4 rejected, 16 loaded",
        "success   50% of the runs that ended",
        "duration  1 min 30 s on average",
        "latency   p50 0.5 s, p95 1.25 s",
        "cost      $1.0000, $0.0500 a record; 8 calls paid for, 2 reused",
        "quality   0.625 mean score",
    ]
