"""Tests `loom run` killed with SIGKILL, again and again, and finished with `loom resume`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from support.books import assert_complete
from support.cluster import MODEL_CALLS_AT_ONCE
from support.command import PATIENCE, Command, Ended, loom, runs
from support.length import LONG
from support.projects import ai, at_once, project, review_ids

RECORDS = 240
INSTANT_RECORDS = 15_000
"""So many that a run does not end while a busy machine keeps the test from looking."""
KILLS = 10 if LONG else 3


async def begin(folder, pipeline) -> Command:
    """Run the pipeline; where a run of it was begun, resume that."""
    begun = runs(folder)
    arguments = ["resume", begun[-1]] if begun else ["run", pipeline.name]
    return await Command.begin(folder, *arguments, "--format", "json")


async def finish(folder, pipeline) -> Ended:
    """Bring the run to its end; where the last kill came too late, ask for its report."""
    command = await begin(folder, pipeline)
    ended = await command.end()
    if ended.code == 2 and "nothing to resume" in ended.err:
        return await loom(folder, "status", runs(folder)[-1], "--format", "json")
    return ended


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("destination", "partitions"), [("sqlite:///out.db?table=moods", 1), ("out.csv", 1), ("out.csv", 4)]
)
async def test_killed_at_any_moment_it_loads_every_record_once_and_pays_for_it_once(
    tmp_path, model, destination, partitions
):
    chance = random.Random(f"{destination} {partitions}")
    extract = {"batch_size": 10, "partitions": partitions}
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), destination=destination, extract=extract)
    made.say(**at_once(MODEL_CALLS_AT_ONCE))
    moments = sorted(chance.sample(range(RECORDS), KILLS))

    for moment in moments:
        command = await begin(made.folder, made.pipeline)
        await command.reach(lambda: bool(runs(made.folder)) and model.calls >= moment)  # noqa: B023
        await asyncio.sleep(chance.uniform(0, 0.1))
        await command.kill()
    ended = await finish(made.folder, made.pipeline)

    assert len(runs(made.folder)) == 1
    rows = await made.loaded()
    assert_complete(ended.report, rows, review_ids(RECORDS))
    assert ended.report["partitions"] == partitions
    assert all(row["mood"] in ("good", "bad") for row in rows)
    print(f"{model.calls} calls for {RECORDS} records, killed {KILLS} times")
    assert model.calls <= RECORDS + KILLS * MODEL_CALLS_AT_ONCE
    assert "Traceback" not in ended.err


async def test_killed_without_reuse_it_pays_for_no_question_of_many_records_twice(tmp_path, model):
    questions = 120
    rows = [{"id": f"r{n:06}", "review": f"Review {n % questions}", "stars": "1"} for n in range(RECORDS)]
    asking = ai(model.base_url, prompt="{{ input.review }}?", cache={"enabled": False})
    made = project(tmp_path, rows, transform=asking, destination="out.csv", extract={"batch_size": 10})
    made.say(**at_once(MODEL_CALLS_AT_ONCE))
    model.latency = 0.02

    command = await begin(made.folder, made.pipeline)
    await command.reach(lambda: model.calls >= questions // 2)
    await command.kill()
    ended = await finish(made.folder, made.pipeline)

    assert_complete(ended.report, await made.loaded(), review_ids(RECORDS))
    assert ended.report["calls"]["made"] == questions
    assert model.calls <= questions + MODEL_CALLS_AT_ONCE


async def test_killed_while_a_model_judges_it_pays_for_no_judgement_twice(tmp_path, model):
    judge = {"type": "semantic", "field": "stars", "reference_field": "review", "threshold": 0.5}
    evaluate = {"model": "gpt-4o-mini", "base_url": model.base_url, "evaluators": [judge]}
    made = project(tmp_path, RECORDS, evaluate=evaluate, destination="out.jsonl", extract={"batch_size": 10})
    made.say(**at_once(MODEL_CALLS_AT_ONCE))
    model.latency = 0.02

    command = await begin(made.folder, made.pipeline)
    await command.reach(lambda: model.calls >= RECORDS // 2)
    await command.kill()
    ended = await finish(made.folder, made.pipeline)

    records = ended.report["records"]
    assert (records["loaded"] + records["rejected"], records["quarantined"]) == (RECORDS, 0)
    assert ended.report["calls"]["made"] == RECORDS
    print(f"{model.calls} judgements for {RECORDS} records, killed once")
    assert RECORDS <= model.calls <= RECORDS + MODEL_CALLS_AT_ONCE


async def test_killed_the_instant_a_batch_is_in_the_destination_it_does_not_load_it_again(tmp_path):
    """Kill in the milliseconds between the destination's commit and the note of it."""
    chance = random.Random("the instant")
    made = project(tmp_path, INSTANT_RECORDS, destination="sqlite:///out.db?table=reviews", extract={"batch_size": 10})

    for _ in range(KILLS):
        before = len(await made.loaded())
        command = await begin(made.folder, made.pipeline)
        commits = chance.randrange(1, 6)
        await asyncio.to_thread(kill_at_commit, made.path("out.db"), command.pid, commits)
        await command.kill()
        assert before < len(await made.loaded()) < INSTANT_RECORDS
    ended = await finish(made.folder, made.pipeline)

    assert_complete(ended.report, await made.loaded(), review_ids(INSTANT_RECORDS))


def kill_at_commit(path: Path, pid: int, number: int) -> None:
    """Watch a SQLite file as closely as can be; kill the process when it has committed rows so many times."""
    deadline = time.monotonic() + PATIENCE
    with closing(sqlite3.connect(path, timeout=10)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        rows = "SELECT count(*) FROM reviews"
        while not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'reviews'").fetchone():
            assert time.monotonic() < deadline, "nothing is loaded"
            time.sleep(0.0005)
        (seen,) = database.execute(rows).fetchone()
        while number:
            assert time.monotonic() < deadline, "nothing more is loaded"
            (now,) = database.execute(rows).fetchone()
            number -= now > seen
            seen = now
        os.kill(pid, signal.SIGKILL)


async def test_killed_while_the_result_is_put_in_place_it_shows_every_record_once(tmp_path):
    """The end of a file load - joining the parts, naming the file - is a moment like any other."""
    made = project(tmp_path, 3000, destination="out.jsonl", extract={"batch_size": 10})
    parts = made.path("out.jsonl.loom")

    def joining() -> bool:
        return any(parts.glob("*.new")) or any(parts.glob("*.json"))

    command = await Command.begin(made.folder, "run", "pipeline.yaml", "--format", "json")
    await command.reach(joining)
    await command.kill()
    ended = await finish(made.folder, made.pipeline)

    assert_complete(ended.report, await made.loaded(), review_ids(3000))


GIVING = """
import asyncio, sys
from loom import Loom

def reviews():
    for n in range(600):
        yield {"id": f"r{n:06}", "review": f"Review {n}", "stars": "3"}

loom = Loom()
asyncio.run(loom.run_pipeline(loom.load_pipeline("pipeline.yaml"), records=reviews()))
"""


async def test_a_run_over_an_iterator_goes_on_in_another_process(tmp_path):
    extract = {"batch_size": 10, "key": "id"}
    made = project(tmp_path, 1, destination="sqlite:///out.db?table=reviews", extract=extract)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", GIVING, cwd=made.folder)
    await asyncio.to_thread(kill_at_commit, made.path("out.db"), process.pid, 2)
    await process.wait()
    assert 0 < len(await made.loaded()) < 600

    ended = await loom(made.folder, "resume", runs(made.folder)[-1], "--format", "json")
    assert_complete(ended.report, await made.loaded(), review_ids(600))
