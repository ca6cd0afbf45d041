"""Tests `loom-coordinator`: a cluster seen and steered from a terminal."""

import asyncio
import json
import signal
import time

import aio_pika
import asyncpg
import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.flow import CONSUMERS, DEAD_QUEUE, is_of_a_step
from loom_coordinator.admin.app import app
from loom_dev.waiting import patience, within
from support.admin import admin, begin
from support.books import assert_complete
from support.clients import ended, request_of, until
from support.cluster import NAMES
from support.command import PATIENCE, Ended, commands_given_a_run
from support.projects import ai, project, review_ids
from support.simulated_model import SlowAfter
from support.watching import books_are_changed

SOON = 15.0
"""The number of seconds from typing a command to its effect."""


SLOW = 5.0
"""Seconds a model takes to answer, so that a run cannot end before a command is there."""


async def shown(cluster, *arguments):
    """Return the document of `--format json`."""
    done = await admin(cluster, *arguments, "--format", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


async def eventually(condition, seconds=30.0):
    """Return what `condition` gives, once that is something."""
    async with within(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.1)
    return found


@pytest.fixture
def config(cluster):
    return LoomConfig.load(cluster.project / "loom.yaml")


def reviews(cluster, name, rows, model=None, **changes):
    """Return a pipeline that writes into a table of its name."""
    return project(
        cluster.project / name,
        rows,
        name=name,
        destination=f"${{RESULTS}}?table={name}",
        **({"transform": ai(model.base_url, cache={"enabled": False})} if model else {}),
        **{"extract": {"batch_size": 10}, **changes},
    )


async def test_the_whole_fleet_is_seen(cluster):
    async def everybody():
        seen = await shown(cluster, "status")
        return seen if {each["service"] for each in seen["replicas"] if each["state"] == "up"} == set(NAMES) else None

    seen = await eventually(everybody)
    of_stages = [row for row in seen["queues"] if not is_of_a_step(row["queue"])]
    assert [row["queue"] for row in of_stages] == list(CONSUMERS)
    assert all(row["replicas"] >= 1 and row["prefetch"] and row["ready"] is not None for row in of_stages)
    assert all(each["rss_bytes"] > 10 * 2**20 for each in seen["replicas"])


@pytest.mark.parametrize("columns", [80, 160])
async def test_tables_fit_the_terminal(cluster, config, model, columns):
    made = reviews(cluster, "a_pipeline_with_a_name_that_is_long_beyond_all_measure", 40, model)
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        await ended(session, run_id)
    for arguments in (
        ("status", "--replicas"),
        ("runs",),
        ("batches", run_id),
        ("prefetch", "show"),
        ("quarantine", "stats"),
        ("dead", "list"),
    ):
        told = await admin(cluster, *arguments, environ={"COLUMNS": str(columns)})
        assert told.code == 0, told.err
        assert max(map(len, told.out.splitlines()), default=0) <= columns, told.out
    assert run_id in (await admin(cluster, "runs")).out


async def test_status_is_live(cluster):
    watching = await begin(cluster, "status", "--watch", "--every", "1s", "--format", "json")
    looks = [json.loads(await asyncio.wait_for(watching.stdout.readline(), patience(30))) for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(watching.wait(), patience(30)) == 0
    assert looks[0]["at"] < looks[1]["at"]
    assert looks[0]["queues"]


async def test_a_limit_set_by_hand_reaches_every_replica_and_those_that_start_later(cluster):
    async def in_force():
        rows = await shown(cluster, "prefetch", "show")
        return next((row for row in rows if row["service"] == "loader" and row["in_force"] == [3]), None)

    assert await shown(cluster, "prefetch", "set", "loader", "3") == {
        "service": "loader",
        "queues": ["loom.load"],
        "prefetch": 3,
        "by_hand": True,
    }
    row = await eventually(in_force)
    assert (row["by_hand"], row["reason"]) == (True, "set by hand")

    before = {each["replica"] for each in (await shown(cluster, "status"))["replicas"]}
    await cluster.terminate("loader")
    await cluster.serve()

    async def learned():
        replicas = (await shown(cluster, "status"))["replicas"]
        later = [each for each in replicas if each["service"] == "loader" and each["replica"] not in before]
        return any(each["prefetch"]["loom.load"] == 3 for each in later)

    await eventually(learned)
    assert (await shown(cluster, "prefetch", "auto", "loader"))["by_hand"] is False
    assert not any(row["by_hand"] for row in await shown(cluster, "prefetch", "show"))


async def test_a_live_run_is_steered(cluster, config, model):
    model.latency = SlowAfter(SLOW, calls=150)
    made = reviews(cluster, "steered", 600, model)
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        await until(session, run_id, lambda progress: progress.tally.loaded >= 20)

        began = time.monotonic()
        paused = await admin(cluster, "pause", run_id)
        assert (paused.code, paused.out) == (0, f"{run_id} (steered): paused\n"), paused.err
        assert time.monotonic() - began < patience(SOON)
        assert [event.status async for event in session.follow(run_id)][-1] == "paused"
        assert [row["run_id"] for row in await shown(cluster, "runs", "--status", "paused")] == [run_id]
        details = await shown(cluster, "run", run_id)
        assert (details["status"], details["records_per_second"]) == ("paused", 0.0)
        assert details["batches"]["in_flight"] > 0
        async with within(SOON):  # what a model was asked for before the pause may still come
            while len(await shown(cluster, "batches", run_id)) != details["batches"]["in_flight"]:
                details = await shown(cluster, "run", run_id)
        assert await shown(cluster, "batches", run_id, "--stuck", "--after", "1h") == []

        assert (await shown(cluster, "resume", run_id))["status"] == "running"
        assert (await shown(cluster, "priority", run_id, "9"))["priority"] == 9
        assert (await shown(cluster, "run", run_id))["priority"] == 9
        advice = await shown(cluster, "scale", "advice", run_id, "--within", "1h", "--records", "100000")
        assert advice["remaining"] > 99_000

        model.latency = 0.0
        finished = await ended(session, run_id)
    assert_complete(finished.report.model_dump(), await made.loaded(cluster.credentials), review_ids(600))
    agreed = await admin(cluster, "reconcile", run_id, "--destination", "${RESULTS}?table=steered")
    assert (agreed.code, "and load ledger agree" in agreed.out) == (0, True), agreed.out + agreed.err


async def test_a_run_is_cancelled(cluster, config, model):
    model.latency = SlowAfter(SLOW, calls=50)
    made = reviews(cluster, "dropped", 400, model)
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        await until(session, run_id, lambda progress: progress.tally.extracted >= 20)
        assert (await shown(cluster, "cancel", run_id))["status"] == "cancelled"
        assert (await ended(session, run_id)).report.status == "cancelled"
    refused = await admin(cluster, "pause", run_id)
    assert (refused.code, refused.out) == (0, f"{run_id} (dropped): cancelled\n")


CODE = """
def judged(record):
    if record["id"].endswith("3"):
        raise ValueError("three is no good")
    return {"review": record["review"]}
"""


async def test_what_was_kept_back_is_counted_and_books_that_differ_are_told(cluster, config):
    made = reviews(cluster, "kept", 40, transform={"type": "python", "function": "transforms:judged"}, code=CODE)
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        await ended(session, run_id)
    [row] = await shown(cluster, "quarantine", "stats", "--run", run_id)
    assert {name: row[name] for name in ("pipeline_name", "failure_stage", "outcome", "records", "unresolved")} == {
        "pipeline_name": "kept",
        "failure_stage": "transform",
        "outcome": "quarantined",
        "records": 4,
        "unresolved": 4,
    }
    details = await admin(cluster, "run", run_id)
    assert "three is" in details.out
    assert (await admin(cluster, "reconcile", run_id, "--destination", "${RESULTS}?table=kept")).code == 0

    books_are_changed(run_id)
    connection = await asyncpg.connect(cluster.state_url)
    await connection.execute("UPDATE loom_load_ledger SET loaded = loaded - 1 WHERE run_id = $1 AND loaded = 9", run_id)
    await connection.execute(
        "DELETE FROM quarantined_records WHERE id = (SELECT max(id) FROM quarantined_records WHERE run_id = $1)", run_id
    )
    await connection.close()
    differing = await admin(cluster, "reconcile", run_id, "--destination", "${RESULTS}?table=kept", "--format", "json")
    told = {each["what"]: (each["expected"], each["found"]) for each in json.loads(differing.out)["differences"]}
    assert differing.code == 1
    assert told["quarantined: batches, quarantine"] == (4, 3)
    assert told["loaded: batches, ledger"] == (36, 32)


async def test_dead_letters_are_listed_sent_again_and_thrown_away(cluster):
    connection = await aio_pika.connect(cluster.bus_url)
    async with connection:
        channel = await connection.channel()
        work = await channel.get_exchange("loom.work")
        for number in range(3):
            message = aio_pika.Message(b"{bad", type="loom.batch.extracted.v1", message_id=f"dead-{number}")
            await work.publish(message, "transform.nothing")

        async def there():
            letters = await shown(cluster, "dead", "list")
            return letters if len(letters) == 3 else None

        letters = await eventually(there)
        assert {letter["by"] for letter in letters} == {"transformer"}
        first = letters[0]["id"]
        shown_letter = await admin(cluster, "dead", "show", first[:8])
        assert "{bad" in shown_letter.out
        assert await shown(cluster, "dead", "replay", first) == {"replayed": [first], "staying": []}
        again = await eventually(there)
        assert [letter["id"] for letter in again][-1] == first

        asked = await admin(cluster, "dead", "discard", "--all")
        assert (asked.code, len(await shown(cluster, "dead", "list"))) == (1, 3)
        assert len((await shown(cluster, "dead", "discard", "--all", "--yes"))["discarded"]) == 3
        queue = await channel.declare_queue(DEAD_QUEUE, passive=True)
        assert queue.declaration_result.message_count == 0


UNKNOWN = "run_000000000000"
OF_A_RUN = {
    ("run",): (UNKNOWN,),
    ("batches",): (UNKNOWN,),
    ("pause",): (UNKNOWN,),
    ("resume",): (UNKNOWN,),
    ("cancel",): (UNKNOWN,),
    ("priority",): (UNKNOWN, "7"),
    ("reconcile",): (UNKNOWN,),
    ("quarantine", "stats"): ("--run", UNKNOWN),
    ("scale", "advice"): (UNKNOWN, "--within", "1h"),
}
"""Names every command that may be given a run, with arguments that name one that does not exist."""


async def test_what_is_not_there_is_said_in_a_line(cluster):
    assert commands_given_a_run(app) == set(OF_A_RUN)
    no_run = f"error: There is no run {UNKNOWN} in the coordinator's state database"
    asked = {(*command, *arguments): no_run for command, arguments in OF_A_RUN.items()}
    asked["dead", "show", "abc"] = "error: There is no dead letter abc"
    for arguments, words in asked.items():
        done = await admin(cluster, *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), arguments
        assert done.err.startswith(words)


async def test_a_command_is_a_process_that_says_the_same(cluster):
    arguments = ("topology", "check", "--format", "json")
    process = await begin(cluster, *arguments)
    async with within(PATIENCE):
        out, err = await process.communicate()
    assert Ended(process.returncode, out.decode(), err.decode()) == await admin(cluster, *arguments)


async def test_the_cluster_is_made_ready(cluster):
    assert (await shown(cluster, "db", "upgrade"))["databases"] == 1
    assert DEAD_QUEUE in (await shown(cluster, "topology", "check"))["queues"]
    assert (await admin(cluster, "topology", "apply")).code == 0
