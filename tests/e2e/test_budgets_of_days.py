"""Tests what a stream may spend in a day: over windows, crashes and versions, and what it does once that is spent."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from loom_dev.waiting import within
from support.cluster_streams import ClusterStream, ids_in, named, stream_on
from support.command import Command
from support.projects import Project, ai
from support.simulated_model import SimulatedModel
from support.streamed import arrive, ids, ids_loaded, opened, state, stream_of, streaming

PROMPT = "What is the mood of {{ input.id }}?"
OUTPUT = {"mood": {"enum": ["good", "bad"]}}
ENOUGH_FOR_SOME = 0.00018
"""USD for the answers of some of 80 records, and not for all of them."""


def asking(folder: Path, model: SimulatedModel, of_day: Any, **more: Any) -> Project:
    """Write a stream whose windows of 10 records ask a model, with a budget of the day."""
    transform = ai(model.base_url, prompt=PROMPT, output=OUTPUT, max_tokens=50)
    window = {"every": "1h", "records": 10}
    return streaming(folder, transform=transform, window=window, monitoring={"cost_budget_per_day": of_day}, **more)


def spent(made: Project) -> float:
    """Return the USD that the stream has cost, by the ledger: a run may be told of a call after a pause."""
    return _in_ledger(made, "SELECT coalesce(sum(spent + lost), 0.0) FROM run_budgets")


def spent_today(made: Project) -> float:
    """Return the USD that the stream has spent since the day began, which is 0 before it has asked a model."""
    return _in_ledger(made, "SELECT coalesce(sum(spent + lost), 0.0) FROM run_budgets WHERE run_id LIKE 'stream%'")


def _in_ledger(made: Project, query: str) -> float:
    with closing(sqlite3.connect(made.path(".loom/journal.db"), timeout=20)) as ledger:
        return float(ledger.execute(query).fetchone()[0])


def waits(made: Project) -> bool:
    """Tell whether windows wait for a day that has not begun, no other one has anything to do, and no call is in
    flight: what was asked before a pause may be answered, and paid for, after it."""
    resume = "SELECT resumes_at > datetime('now') FROM pipeline_runs WHERE status = 'paused' AND resumes_at IS NOT NULL"
    waiting = [bool(later) for (later,) in state(made, resume)]
    busy = state(made, "SELECT 1 FROM batches JOIN pipeline_runs USING (run_id) WHERE status = 'running'")
    in_flight = _in_ledger(made, "SELECT count(*) FROM budget_reservations")
    return bool(waiting) and all(waiting) and not busy and not in_flight


def a_day_passes(made: Project) -> None:
    """Make what was spent today something that was spent on another day, and tomorrow this moment."""
    with closing(sqlite3.connect(made.path(".loom/journal.db"), timeout=20)) as ledger, ledger:
        moved = ledger.execute("UPDATE run_budgets SET run_id = hex(randomblob(8)) WHERE run_id LIKE 'stream%'")
        assert moved.rowcount  # one, or two where midnight has come meanwhile
    with closing(sqlite3.connect(made.path(".loom/loom.db"), timeout=20)) as database, database:
        database.execute("UPDATE pipeline_runs SET resumes_at = '2026-01-01 00:00:00' WHERE resumes_at IS NOT NULL")


async def test_a_stream_waits_once_its_day_is_spent_and_goes_on_by_itself_when_the_next_one_begins(tmp_path, model):
    made = asking(tmp_path, model, ENOUGH_FOR_SOME)
    arrive(made, "a", range(80))
    async with opened(made) as stream:
        await stream.until(lambda: waits(made))
        assert 0 < spent_today(made) <= ENOUGH_FOR_SOME
        assert len(ids_loaded(made)) < 80
        await stream.closed(1)  # the day's budget is that of all windows together
        await stream.until(lambda: any(each.startswith("day_budget_exhausted: $") for each in stream.notices))
        while len(ids_loaded(made)) < 80:
            await asyncio.to_thread(a_day_passes, made)
            await stream.until(lambda: (spent_today(made) and waits(made)) or len(ids_loaded(made)) == 80)
            assert spent_today(made) <= ENOUGH_FOR_SOME
        await stream.drained()
    assert ids_loaded(made) == ids(range(80))
    assert len(model.bodies) == 80
    alerts = state(made, "SELECT DISTINCT alert_type FROM monitoring_alerts WHERE severity = 'error'")
    assert alerts == [("day_budget_exhausted",)]


async def test_a_stream_that_is_killed_while_it_waits_pays_no_more_of_the_day_and_a_larger_budget_lets_it_go_on(
    tmp_path, model
):
    made = asking(tmp_path, model, ENOUGH_FOR_SOME)
    arrive(made, "a", range(80))
    command = await Command.begin(made.folder, "run", "pipeline.yaml")
    assert await command.says("The stream waits, and goes on by itself at")
    assert await command.reach(lambda: waits(made))
    await command.kill()
    paid = spent(made)
    async with opened(made) as stream:
        await stream.until(lambda: waits(made))
    assert spent(made) == paid
    made.say(version="2.0.0", monitoring={"cost_budget_per_day": 1.0})
    async with opened(made) as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(80))
    assert len(model.bodies) == 80


async def test_a_stream_that_stops_when_its_day_is_spent_is_resumed_by_somebody(tmp_path, model):
    made = asking(tmp_path, model, {"usd": ENOUGH_FOR_SOME, "timezone": "Europe/Berlin", "when_spent": "stop"})
    arrive(made, "a", range(80))
    async with opened(made) as stream:
        await stream.paused()
    stopped = state(made, "SELECT reason, resumes_at, notice FROM pipeline_runs WHERE reason IS NOT NULL")
    assert {each[:2] for each in stopped} == {("day_budget_exhausted", None)}
    assert all("(Europe/Berlin). Go on with `loom resume stream_" in each[2] for each in stopped)
    before = len(ids_loaded(made))
    await asyncio.to_thread(a_day_passes, made)
    resumed = await Command.begin(made.folder, "resume", stream_of(made))
    assert await resumed.reach(lambda: len(ids_loaded(made)) > before)
    resumed.interrupt()
    await resumed.end()


async def test_a_stream_on_a_cluster_spends_no_more_than_its_day_allows_and_goes_on_by_itself(cluster, model):
    transform = ai(model.base_url, prompt=PROMPT, output=OUTPUT, max_tokens=50)
    budget = {"cost_budget_per_day": ENOUGH_FOR_SOME}
    async with stream_on(cluster, named("of_a_day"), transform=transform, monitoring=budget) as stream:
        await stream.arrive(120)
        await _day_spent(stream)
        assert len(await ids_in(cluster, stream.name)) < 120
        await _a_day_passes_for(stream)
        await _day_spent(stream)
        stream.made.say(version="2.0.0", monitoring={"cost_budget_per_day": 1.0})
        await stream.opened()
        await stream.until_loaded(120)
        await stream.drained()
    assert len(model.bodies) == 120


async def _day_spent(stream: ClusterStream) -> None:
    """Wait until the stream has spent some of the day and waits for the next one, nothing of it is at work, and no call
    is in flight."""
    busy = "SELECT 1 FROM batches JOIN pipeline_runs USING (run_id) WHERE stream = $1 AND status = 'running'"
    due = (
        "SELECT resumes_at > now() AS later FROM pipeline_runs"
        " WHERE stream = $1 AND status = 'paused' AND resumes_at IS NOT NULL"
    )
    today = "SELECT spent + lost AS usd FROM run_budgets WHERE run_id LIKE $1"
    in_flight = "SELECT 1 FROM budget_reservations WHERE run_id LIKE $1"
    of = stream.following.stream
    async with within(60):
        while True:
            waiting = [row["later"] for row in await stream.cluster.rows(due, of)]
            idle = bool(waiting) and all(waiting) and not await stream.cluster.rows(busy, of)
            idle = idle and not await stream.cluster.rows(in_flight, f"{of}%")
            usd = sum(row["usd"] for row in await stream.cluster.rows(today, f"{of}%"))
            if idle and usd:
                assert usd <= ENOUGH_FOR_SOME
                return
            await asyncio.sleep(0.05)


async def _a_day_passes_for(stream: ClusterStream) -> None:
    """Make what the stream has spent today something that was spent on another day, and tomorrow this moment."""
    forgotten = "UPDATE run_budgets SET run_id = md5(run_id) WHERE run_id LIKE $1 RETURNING 1"
    assert await stream.cluster.rows(forgotten, f"{stream.following.stream}%")
    due = "UPDATE pipeline_runs SET resumes_at = '2026-01-01' WHERE stream = $1 AND resumes_at IS NOT NULL"
    await stream.cluster.rows(due, stream.following.stream)
