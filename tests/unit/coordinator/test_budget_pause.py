"""Tests when a window goes on whose stream has spent the budget of the day, and whether anybody is alerted."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from loom_common.contracts.v1 import BudgetSpent
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.lifecycle import budget_pause
from support.run_rows import NOW, a_run, run_state, the_run

TOMORROW = dt.datetime(2026, 1, 3, tzinfo=dt.UTC)
YESTERDAY_ENDED = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
OF_DAY = {"usd": 1.0, "timezone": "UTC", "when_spent": "wait"}


@pytest.mark.parametrize(
    ("of_day", "until", "resumes_at", "alerts"),
    [
        pytest.param(OF_DAY, TOMORROW, TOMORROW, 1, id="when the next day begins"),
        pytest.param({**OF_DAY, "when_spent": "stop"}, TOMORROW, None, 1, id="when somebody resumes it"),
        pytest.param({**OF_DAY, "usd": 2.0}, TOMORROW, NOW, 0, id="at once where the budget was raised meanwhile"),
        pytest.param(None, TOMORROW, NOW, 0, id="at once where there is no budget any more"),
        pytest.param(OF_DAY, YESTERDAY_ENDED, YESTERDAY_ENDED, 0, id="at once where the day is over by now"),
    ],
)
async def test_a_window_whose_day_is_spent_goes_on(of_day, until, resumes_at, alerts):
    spent = BudgetSpent(run_id="run_1", epoch=1, stage=Stage.TRANSFORM, limit=1.0, gone=0.9, needed=0.2, until=until)
    async with run_state(stream="stream_1", stream_window=1, day_budget=of_day) as unit:
        await budget_pause.pause(unit, await the_run(unit), spent)
        paused = await the_run(unit)
        found = (await unit.connection.execute(select(monitoring_alerts.c.alert_type))).scalars().all()
    assert (paused.status, paused.reason, paused.resumes_at) == ("paused", "day_budget_exhausted", resumes_at)
    assert found == ["day_budget_exhausted"] * alerts


SPENT = BudgetSpent(run_id="r", epoch=1, stage=Stage.TRANSFORM, limit=1.0, gone=0.95, needed=0.1)
KEPT = "; what is paid for is kept. Go on with `loom resume r --budget USD`."


@pytest.mark.parametrize(
    ("ended", "total", "words"),
    [
        (20, 300, "$0.1000. 20 of 300 records are through, 280 are left"),
        (1, 2, "$0.1000. 1 of 2 records is through, 1 is left"),
        (2, 2, "$0.1000. 2 of 2 records are through, 0 are left"),
        (1, 1, "$0.1000. 1 of 1 record is through, 0 are left"),
        (0, 0, "$0.1000. 0 of 0 records are through, 0 are left"),
        (0, None, "$0.1000. 0 records are through, and more are left"),
        (1, None, "$0.1000. 1 record is through, and more are left"),
        (1_234, 5_678, "$0.1000. 1,234 of 5,678 records are through, 4,444 are left"),
    ],
)
def test_a_pause_says_how_far_the_run_came(ended, total, words):
    assert budget_pause.said("r", SPENT, ended, total) == (
        f"budget_exhausted: $0.9500 of the budget of $1.0000 is spent, and the next call may cost {words}{KEPT}"
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"lost": 0.3}, "is spent ($0.3000 of it maybe: calls that died with their process), and the"),
        ({"owed": 0.2}, "is spent, $0.2000 is kept to judge what was answered, and the"),
        (
            {"lost": 0.3, "owed": 0.2},
            (
                "is spent ($0.3000 of it maybe: calls that died with their process), $0.2000 is kept to judge what was "
                "answered, and the"
            ),
        ),
    ],
)
def test_a_pause_says_what_else_was_taken_from_the_budget(more, words):
    said = budget_pause.said("r", SPENT.model_copy(update=more), 0, None)
    assert said.startswith(f"budget_exhausted: $0.9500 of the budget of $1.0000 {words} next call may cost $0.1000. ")


def test_a_pause_shows_amounts_that_are_less_than_a_cent():
    tiny = SPENT.model_copy(update={"limit": 0.000_05, "gone": 0.000_041, "needed": 0.000_012})
    words = "$0.000041 of the budget of $0.000050 is spent, and the next call may cost $0.000012."
    assert words in budget_pause.said("r", tiny, 20, 300)


BERLIN = {**OF_DAY, "timezone": "Europe/Berlin"}
GOES_ON = "The stream waits, and goes on by itself at {}. To go on before that, raise"


@pytest.mark.parametrize(
    ("of_day", "lost", "more"),
    [
        (OF_DAY, 0.0, GOES_ON.format("2026-01-03 00:00 (UTC)")),
        (BERLIN, 0.0, GOES_ON.format("2026-01-03 01:00 (Europe/Berlin)")),
        (None, 0.3, GOES_ON.format("2026-01-03 00:00 (UTC)")),
        (
            {**BERLIN, "when_spent": "stop"},
            0.0,
            (
                "The stream is stopped; the next day begins at 2026-01-03 01:00 (Europe/Berlin). "
                "Go on with `loom resume stream_1`, or raise"
            ),
        ),
    ],
)
def test_a_window_says_that_the_budget_of_the_day_is_spent_and_when_it_goes_on(of_day, lost, more):
    run = a_run(run_id="r", stream="stream_1", day_budget=of_day)
    maybe = " ($0.3000 of it maybe: calls that died with their process)" if lost else ""
    assert budget_pause.said_of_day(run, SPENT.model_copy(update={"lost": lost}), TOMORROW) == (
        f"day_budget_exhausted: $0.9500 of the $1.0000 for the day is spent{maybe}, and the next call may cost "
        f"$0.1000. What is paid for is kept. {more} `monitoring.cost_budget_per_day` and `loom run` the file."
    )


@pytest.mark.parametrize(
    ("reason", "given", "booked", "words"),
    [
        pytest.param(
            None, 3.0, 3.0,
            "Run r has cost $3.0000 already; a budget of $3.0000 lets it do nothing. Give it more: `loom resume r "
            "--budget USD`.",
            id="no more than it has cost",
        ),
        pytest.param(
            "budget_exhausted", None, 0.0,
            "Run r has spent its budget of $2.0000. Say what it may cost in all: `loom resume r --budget USD`.",
            id="none, though its own is spent",
        ),
        pytest.param(
            "day_budget_exhausted", 9.0, 3.0,
            "Run r waits for the next day, because its stream has spent the budget of this one. A budget of the day "
            "is raised in the pipeline: `monitoring.cost_budget_per_day`, and `loom run` of its file.",
            id="one that its day does not ask for",
        ),
    ],
)  # fmt: skip
def test_a_budget_that_is_no_use_is_refused(reason, given, booked, words):
    with pytest.raises(ConfigurationError) as refused:
        budget_pause.resumed(a_run(run_id="r", reason=reason, budget=2.0), given, booked)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("reason", "given", "budget"),
    [
        (None, None, 2.0),
        (None, 3.01, 3.01),
        ("budget_exhausted", 5.0, 5.0),
        ("day_budget_exhausted", None, 2.0),
    ],
)
def test_a_run_that_is_resumed_waits_for_nothing_more(reason, given, budget):
    run = a_run(run_id="r", reason=reason, budget=2.0)
    assert budget_pause.resumed(run, given, 3.0) == {"reason": None, "budget": budget}
