"""Tests on RabbitMQ and Postgres what holds embedded: no success without a result, nothing left behind, trials
beside."""

from __future__ import annotations

import asyncpg
import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom.views import open_views
from support.books import assert_balanced
from support.clients import ended, report_of, request_of, settles, until
from support.projects import ai, ids, project, python, review_ids, rows_at

CODE = """
def judged(record):
    return {"mood": "good"}

def misspelt(record):
    return {"mood": record["moood"]}

def slow(record):
    import time
    time.sleep(1.0 if int(record["id"][1:]) >= 20 else 0.0)
    return {"mood": "good"}

def forty_bad(record):
    if 40 <= int(record["id"][1:]) < 80:
        raise ValueError("bad")
    return {"mood": "good"}
"""


@pytest.fixture
def made(cluster, request):
    name = request.node.name.removeprefix("test_")[:30]
    return project(
        cluster.project / name,
        100,
        name=name,
        transform=python(),
        code=CODE,
        destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": 10},
    )


async def run(cluster, made, **changes):
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config, **changes))
        return (await ended(session, accepted.run_id)).report.model_dump()


async def names(cluster, made):
    """Return the tables whose names begin as the destination's does."""
    connection = await asyncpg.connect(cluster.state_url)
    table = made.destination.partition("=")[2]
    found = await connection.fetch("SELECT tablename FROM pg_tables WHERE starts_with(tablename, $1)", table)
    await connection.close()
    return sorted(row["tablename"].removeprefix(table) for row in found)


async def test_errors_only_replace_nothing(cluster, made):
    replacing = {"destination": made.destination, "mode": "replace"}
    made.say(load=replacing)
    assert (await run(cluster, made))["status"] == "succeeded"
    made.say(load=replacing, transform=python("transforms:misspelt"))
    report = await run(cluster, made)
    assert (report["status"], report["records"]["loaded"]) == ("failed", 0)
    assert report["reasons"][0]["reason"] == "KeyError: 'moood' in transforms:misspelt"
    assert_balanced(report)
    assert ids(await made.loaded(cluster.credentials)) == review_ids(100)
    assert await names(cluster, made) == [""]


async def test_what_does_not_fit_fails_before_a_model_is_asked(cluster, made, model):
    """Source and destination are looked at by an extractor and a loader; a resume looks again."""
    table = made.destination.rpartition("=")[2]
    connection = await asyncpg.connect(cluster.state_url)
    await connection.execute(f"CREATE TABLE {table} (id text PRIMARY KEY, mood text)")
    made.say(transform=ai(model.base_url, prompt="What is the mood of {{ input.revue }}?"))
    report = await run(cluster, made)
    assert (report["status"], report["records"]["extracted"], model.calls) == ("failed", 0, 0)
    unknown, lacking = report["error"].splitlines()
    assert unknown.startswith(
        "transform.prompt: found 'revue' (line 1); expected a field of the source: id, review, stars"
    )
    assert "confidence" in lacking, lacking
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with open_views(config) as views:
        [entry] = await views.manifest(made.definition["name"], "failed", None)
    assert entry.preflight is not None
    assert {check["what"]: check["ok"] for check in entry.preflight["checks"]} == {
        "source": True, "fields": False, "destination": False
    }  # fmt: skip
    async with open_session(config, cluster=True) as session:
        await session.resume(report["run_id"])
        again = (await ended(session, report["run_id"])).report
    assert (again.status, again.error, model.calls) == ("failed", report["error"], 0)
    await connection.execute(f"ALTER TABLE {table} ADD confidence double precision")
    async with open_session(config, cluster=True) as session:
        await session.resume(report["run_id"])
        again = (await ended(session, report["run_id"])).report
    assert again.error == unknown
    await connection.close()


async def test_an_early_end_waits_for_the_quarantine(cluster, made):
    made.say(transform=python("transforms:misspelt"))
    config = LoomConfig.load(cluster.project / "loom.yaml")

    async def status(run_id: str) -> str:
        [row] = await cluster.rows("SELECT status FROM pipeline_runs WHERE run_id = $1", run_id)
        return str(row["status"])

    async with open_session(config, cluster=True) as session:
        connection = await asyncpg.connect(cluster.state_url)
        async with connection.transaction():  # while this holds, nothing is stored; it is less than the store's timeout
            await connection.execute("LOCK TABLE quarantined_records IN EXCLUSIVE MODE")
            run_id = (await session.start(request_of(made, config))).run_id
            await settles(lambda: status(run_id), "failed")
        await connection.close()
        report = (await ended(session, run_id)).report.model_dump()
    assert sum(each["records"] for each in report["reasons"]) == report["records"]["quarantined"] > 0
    assert report["reasons"][0]["reason"] == "KeyError: 'moood' in transforms:misspelt"
    assert_balanced(report)


async def test_an_early_end_counts_what_can_be_read(cluster, made):
    made.say(load={"destination": "results/out.csv", "mode": "append"}, transform=python("transforms:slow"))
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        await until(session, run_id, lambda progress: progress.tally.loaded >= 10)
        await session.cancel(run_id)
        report = (await ended(session, run_id)).report.model_dump()
    there = await rows_at("results/out.csv", made.folder, cluster.credentials)
    assert (report["records"]["loaded"], report["records"]["staged"]) == (len(there), 0)
    assert len(there) >= 10


async def test_a_second_run_updates(cluster, made):
    for _ in range(2):
        report = await run(cluster, made)
        assert (report["status"], report["records"]["loaded"]) == ("succeeded", 100)
    assert ids(await made.loaded(cluster.credentials)) == review_ids(100)


async def test_a_sample_goes_beside(cluster, made):
    assert (await run(cluster, made))["status"] == "succeeded"
    for number in (7, 3):
        report = await run(cluster, made, sample=number)
        assert (report["status"], report["sample"], len(report["rows"])) == ("succeeded", number, number)
        assert report["destination"].endswith("_sample")
        found = await rows_at(f"{made.destination}_sample", made.folder, cluster.credentials)
        assert ids(found) == review_ids(number)
    assert ids(await made.loaded(cluster.credentials)) == review_ids(100)
    assert await names(cluster, made) == ["", "_sample"]


async def test_a_cancel_leaves_nothing_staged(cluster, made):
    made.say(load={"destination": made.destination, "mode": "replace"}, transform=python("transforms:slow"))
    config = LoomConfig.load(cluster.project / "loom.yaml")

    async def left() -> list[str]:
        return [name for name in await names(cluster, made) if "__loom_" in name]

    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        await until(session, run_id, lambda progress: progress.tally.loaded >= 10)
        [staging] = await left()
        await session.cancel(run_id)
        report = (await ended(session, run_id)).report.model_dump()
    assert (report["status"], report["records"]["loaded"], report["records"]["staged"]) == ("cancelled", 0, 0)
    assert_balanced(report)
    await settles(left, [])
    assert await made.loaded(cluster.credentials) == []

    connection = await asyncpg.connect(cluster.state_url)  # as if the broker had lost what was asked of the loader
    await connection.execute(f'CREATE TABLE "{made.destination.partition("=")[2]}{staging}" (id text)')
    await connection.close()
    async with open_session(config, cluster=True) as session:
        assert (await session.cancel(run_id)).status == "cancelled"
    await settles(left, [])
    assert (await report_of(config, run_id))["records"] == report["records"]


async def test_what_a_limit_left_staged(cluster, made):
    limited = {**python("transforms:forty_bad"), "max_failures": 5}
    made.say(load={"destination": made.destination, "mode": "replace"}, transform=limited)
    report = await run(cluster, made)
    config = LoomConfig.load(cluster.project / "loom.yaml")
    assert (report["status"], report["records"]["loaded"]) == ("failed", 0)
    assert_balanced(report)
    if report["records"]["staged"]:
        assert "__loom_run_" in report["staged_in"]

    async def cancelled() -> bool:
        """Cancel again: a loader may stage what was in flight a little after the end, so that there is more to drop."""
        async with open_session(config, cluster=True) as session:
            await session.cancel(report["run_id"])
        return any("__loom_" in name for name in await names(cluster, made))

    await settles(cancelled, value=False)
    now = await report_of(config, report["run_id"])
    assert (now["records"]["loaded"], now["records"]["staged"]) == (0, 0)
    assert_balanced(now)
