"""Exactly once follows a record, not a run: whatever replays of a run are asked for, a record is loaded once."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom.views import open_views
from loom_common.domain.run.replaying import Changes
from loom_common.errors import ConfigurationError
from loom_dev.waiting import within
from loom_quarantine.queries import RecordFilter
from support.clients import ended, request_of
from support.command import Command, runs
from support.command import loom as command
from support.projects import ids, project, review_ids

RECORDS = 40
POOR = [f"r{number:06}" for number in range(RECORDS) if number % 2]

CODE = """
import time
from pathlib import Path

HERE = Path(__file__).parent


def judged(record):
    if (HERE / "block").exists() and int(record["id"][1:]) > 20:
        (HERE / "begun").touch()
        while not (HERE / "go").exists():
            time.sleep(0.01)
    return {"poor": int(record["id"][1:]) % 2}


def good(output, record):
    return 0.5 if output["poor"] else 1.0
"""
JUDGED = {"evaluators": [{"type": "python", "name": "good", "function": "transforms:good", "threshold": 0.8}]}
LENIENT = Changes(thresholds={"good": 0.4})


def judging(folder, destination, name="once", **more):
    return project(
        folder, RECORDS, name=name, transform={"type": "python", "function": "transforms:judged"}, evaluate=JUDGED,
        code=CODE, destination=destination, extract={"batch_size": 5}, **more,
    )  # fmt: skip


@pytest.fixture(params=["embedded", "distributed"])
def mode(request, tmp_path):
    """Provide a pipeline and the configuration it runs with, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return judging(tmp_path, "sqlite:///out.db?table=once"), LoomConfig.load(tmp_path / "loom.yaml"), {}
    cluster = request.getfixturevalue("cluster")
    table = f"once_{tmp_path.name}"
    made = judging(cluster.project / table, f"${{RESULTS}}?table={table}")
    return made, LoomConfig.load(cluster.project / "loom.yaml").for_cluster(), cluster.credentials


async def test_a_replay_of_a_replay_resolves_every_copy_and_the_first_run_has_nothing_left(mode):
    made, config, environ = mode
    async with open_session(config, cluster=config.distributed) as session:
        first = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        assert first.records["rejected"] == len(POOR)
        second = (await ended(session, (await session.replay(first.run_id, None)).run_id)).report
        third = (await ended(session, (await session.replay(second.run_id, None)).run_id)).report
        assert second.records["rejected"] == third.records["rejected"] == len(POOR)
        loading = (await ended(session, (await session.replay(third.run_id, None, LENIENT)).run_id)).report
        assert loading.records["loaded"] == len(POOR)
        await _all_resolved(config, first.run_id)
        for run_id in (first.run_id, second.run_id, third.run_id):
            with pytest.raises(ConfigurationError, match=r"Nothing is replayed: .* 20 .* all resolved"):
                await session.replay(run_id, None, LENIENT)
    assert ids(await made.loaded(environ)) == review_ids(RECORDS)
    async with open_views(config) as views:
        [counted] = await views.quarantine_stats(RecordFilter(pipeline="once", run_id=first.run_id))
        assert (counted.records, counted.unresolved, counted.reprocessed) == (20, 0, 20)
        lineage = {each.run_id: each.as_json() for each in await views.lineage("once", None)}
        shown = (await views.quarantined_record(POOR[0], second.run_id)).as_json()
    assert lineage[second.run_id]["replay_of"] == first.run_id
    assert [each["run_id"] for each in lineage[second.run_id]["replays"]] == [third.run_id]
    assert (shown["replay_of"], shown["resolved_by"]) == (first.run_id, loading.run_id)
    assert [each["run_id"] for each in shown["replays"]] == [third.run_id]
    assert [each["run_id"] for each in shown["kept_before"]] == [first.run_id]


async def test_two_replays_of_the_same_records_at_once_load_each_record_once(mode):
    made, config, environ = mode
    async with open_session(config, cluster=config.distributed) as session:
        first = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        begun = await asyncio.gather(*(session.replay(first.run_id, None, LENIENT) for _ in range(3)))
        reports = [(await ended(session, each.run_id)).report for each in begun]
        assert sum(report.records["loaded"] for report in reports) == len(POOR)
        assert [report.status for report in reports] == ["succeeded"] * 3
    rows = ids(await made.loaded(environ))
    assert sorted(row for row in rows if row in POOR) == POOR


async def test_two_commands_at_once_load_each_record_once(tmp_path):
    made = judging(tmp_path, "out.jsonl")
    (tmp_path / "loom.yaml").touch()
    first = (await command(tmp_path, "run", str(made.pipeline), "--format", "json")).report
    retry = ("quarantine", "retry", first["run_id"], "--threshold", "good=0.4", "--format", "json")
    both = await asyncio.gather(command(tmp_path, *retry), command(tmp_path, *retry))
    assert [each.code for each in both] == [0, 0], both
    assert ids(await made.loaded()) == review_ids(RECORDS)


@pytest.fixture
async def killed(tmp_path, request):
    """A retry that was killed with SIGKILL after its first batches were loaded; the first run, and the retry's."""
    made = judging(tmp_path, request.param)
    (tmp_path / "loom.yaml").touch()
    in_order = {"LOOM_WORKER_PREFETCH": "1"}  # a replay takes records as they were kept: those that block come last
    first = (await command(tmp_path, "run", str(made.pipeline), "--format", "json", environ=in_order)).report["run_id"]
    (tmp_path / "block").touch()
    retry = await Command.begin(tmp_path, "quarantine", "retry", first, "--threshold", "good=0.4")
    assert await retry.reach(lambda: (tmp_path / "begun").exists() and _loaded_batches(tmp_path, runs(tmp_path)[-1]))
    await retry.kill()
    (tmp_path / "go").touch()
    return made, first, runs(tmp_path)[-1]


DESTINATIONS = pytest.mark.parametrize("killed", ["out.jsonl", "sqlite:///out.db?table=once"], indirect=True)


@DESTINATIONS
async def test_a_killed_retry_holds_its_records_until_it_is_resumed(killed):
    made, first, second = killed
    told = await command(made.folder, "quarantine", "retry", first, "--threshold", "good=0.4")
    assert (told.code, told.out) == (0, "")
    assert f"Taken up by {second}, which is interrupted" in told.err
    assert f"loom resume {second}" in told.err
    report = (await command(made.folder, "resume", second, "--format", "json")).report
    assert report["records"]["loaded"] == len(POOR)
    assert ids(await made.loaded()) == review_ids(RECORDS)
    nothing = await command(made.folder, "quarantine", "retry", first, "--threshold", "good=0.4", "--format", "json")
    assert nothing.code == 0
    assert (nothing.report["replayed"], nothing.report["resolved"]) == (0, {"reprocessed": len(POOR)})


@DESTINATIONS
async def test_what_a_killed_and_cancelled_retry_loaded_is_not_loaded_by_the_next(killed):
    made, first, second = killed
    assert (await command(made.folder, "cancel", second)).code == 0
    report = (
        await command(made.folder, "quarantine", "retry", first, "--threshold", "good=0.4", "--format", "json")
    ).report
    assert report["status"] == "succeeded"
    assert ids(await made.loaded()) == review_ids(RECORDS)
    resumed = await command(made.folder, "resume", second, "--format", "json")
    assert resumed.code == 0, resumed.err
    assert ids(await made.loaded()) == review_ids(RECORDS)
    nothing = await command(made.folder, "quarantine", "retry", first, "--format", "json")
    assert nothing.report["replayed"] == 0


async def test_a_run_that_has_not_ended_is_not_replayed(tmp_path):
    made = judging(tmp_path, "out.jsonl")
    (tmp_path / "loom.yaml").touch()
    (tmp_path / "block").touch()
    running = await Command.begin(tmp_path, "run", str(made.pipeline))
    assert await running.reach(lambda: (tmp_path / "begun").exists() and _kept(tmp_path) > 0)
    await running.kill()
    [run_id] = runs(tmp_path)
    refused = await command(tmp_path, "quarantine", "retry", run_id)
    assert (refused.code, f"loom resume {run_id}" in refused.err) == (2, True)


def _loaded_batches(folder, run_id):
    return _count(folder, "batches WHERE loaded > 0 AND run_id = ?", run_id)


def _kept(folder):
    return _count(folder, "quarantined_records")


def _count(folder, what, *values):
    with closing(sqlite3.connect(f"file:{folder}/.loom/loom.db?mode=ro", uri=True, timeout=10)) as database:
        (number,) = database.execute(f"SELECT count(*) FROM {what}", values).fetchone()
    return number


async def _all_resolved(config, run_id):
    async with within(20), open_views(config) as views:
        while await views.quarantined(RecordFilter(run_id=run_id, unresolved=True)):
            await asyncio.sleep(0.05)
