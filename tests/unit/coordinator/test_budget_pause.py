"""Tests when a window goes on whose stream has spent the budget of the day, and whether anybody is alerted."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from loom_common.contracts.v1 import BudgetSpent
from loom_common.flow import Stage
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.lifecycle import budget_pause
from support.run_rows import NOW, run_state, the_run

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
