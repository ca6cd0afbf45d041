"""Tests which windows a version on trial is judged by, and what becomes of the stream once its rule has decided."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from loom_common.domain.run.tally import Tally
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.monitoring import monitoring_alerts
from loom_coordinator.lifecycle.streams import decisions, figures
from loom_coordinator.lifecycle.streams.canaries import Canary
from support.run_rows import DEFINITION, NOW, add_run, run_state

STREAM = "stream_0123456789ab"
SINCE = 3
RULE = {"windows": 1, "records": 10}
STABLE, TRIAL = "stable", "trial"


@pytest.fixture
async def unit():
    """Provide a stream with a version on trial since its window 3, whose rule asks for ten records of each version."""
    async with run_state(run_id="before", stream=STREAM, stream_window=SINCE - 1) as unit:
        template = {"pipeline_version": "1", "definition": DEFINITION}
        on_trial = {"pipeline_version": "2", "definition": {**DEFINITION, "canary": RULE}}
        canary = Canary(
            plan="trial", template=on_trial, every=60.0, records=10, share=0.5, keys=("id",), since=SINCE
        ).row()
        await streams.enter(
            unit,
            {
                "stream_id": STREAM, "pipeline_name": "p", "source": "in", "state": streams.RUNNING, "opened_at": NOW,
                "number": SINCE, "closed": False, "plan": "plan", "template": template, "every": 60.0, "records": 10,
                "canary": canary,
            },
        )  # fmt: skip
        yield unit


async def ended(unit, window: int, version: str, *, kept: int = 0, **more: Any):
    """Enter the run that a version had in a window, which has ended with ten records."""
    run_id = f"{version}-{window}"
    tally = Tally(extracted=10, transformed=10, passed=10 - kept, loaded=10 - kept, rejected=kept)
    beside = {"canary_of": f"{STABLE}-{window}"} if version == TRIAL else {}
    columns = {"status": "succeeded", "completed_at": NOW, **tallies.columns(tally), **beside, **more}
    return await add_run(unit, run_id=run_id, stream=STREAM, stream_window=window, **columns)


async def the_stream(unit) -> Stream:
    found = await streams.find(unit.connection, STREAM)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("window", "of_trial", "decision"),
    [
        pytest.param(SINCE, {}, "promote", id="the first window of the trial"),
        pytest.param(SINCE + 1, {}, "promote", id="a later one"),
        pytest.param(SINCE - 1, {}, "wait", id="one before the trial"),
        pytest.param(SINCE, {"status": "running", "completed_at": None}, "wait", id="one that is not over for both"),
        pytest.param(SINCE, {"status": "cancelled"}, "wait", id="one that was cancelled"),
        pytest.param(SINCE, {"replay_of": "another"}, "wait", id="what was replayed"),
        pytest.param(SINCE, {"kept": 10}, "roll_back", id="one whose records were all kept back"),
    ],
)
async def test_a_version_is_judged_by_the_windows_of_its_trial_that_are_over(unit, window, of_trial, decision):
    await ended(unit, window, STABLE)
    await ended(unit, window, TRIAL, **of_trial)
    assert (await figures.verdict(unit.connection, await the_stream(unit))).decision == decision


@pytest.mark.parametrize(
    ("kept", "plan", "alert"),
    [
        pytest.param(0, "trial", ("canary_promoted", "warning"), id="promoted"),
        pytest.param(10, "plan", ("canary_rolled_back", "error"), id="rolled back"),
    ],
)
async def test_a_version_is_decided_on_as_a_window_of_its_trial_ends_and_somebody_is_told(unit, kept, plan, alert):
    stable, _ = await ended(unit, SINCE, STABLE), await ended(unit, SINCE, TRIAL, kept=kept)
    before = await ended(unit, SINCE - 1, STABLE)
    await decisions.look(unit, await the_stream(unit), before)
    assert (await the_stream(unit)).canary is not None  # a window that is older than the trial decides nothing
    await decisions.look(unit, await the_stream(unit), stable)
    stream = await the_stream(unit)
    assert (stream.canary, stream.plan) == (None, plan)
    told = await unit.connection.execute(select(monitoring_alerts.c.alert_type, monitoring_alerts.c.severity))
    assert [tuple(row) for row in told] == [alert]


async def test_a_window_counts_once_it_is_over_for_both_versions(unit):
    canary = (await the_stream(unit)).canary
    template = {**canary["template"], "definition": {**DEFINITION, "canary": {**RULE, "windows": 2}}}
    await streams.change(unit, STREAM, canary={**canary, "template": template})
    for window in (SINCE, SINCE + 1):
        await ended(unit, window, STABLE)
    await ended(unit, SINCE + 1, TRIAL)
    going = await ended(unit, SINCE, TRIAL, status="running", completed_at=None)
    assert (await figures.verdict(unit.connection, await the_stream(unit))).decision == "wait"
    await run_rows.change(unit, going.run_id, status="succeeded", completed_at=NOW)
    assert (await figures.verdict(unit.connection, await the_stream(unit))).decision == "promote"
