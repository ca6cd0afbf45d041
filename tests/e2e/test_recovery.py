"""Tests what a pipeline says about failing: tried again, answered by another, limited in number and in time."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from support.books import assert_balanced
from support.command import loom
from support.projects import ai, ids, project, python, review_ids, rows_at
from support.simulated_model import SimulatedModel

CODE = """
import contextlib
import pathlib
import sqlite3
import time

def fails_once(record):
    seen = pathlib.Path("seen") / record["id"]
    if record["id"] in ("r000003", "r000007") and not seen.exists():
        seen.parent.mkdir(exist_ok=True)
        seen.write_text("")
        raise ValueError("not yet")
    return {"mood": "good"}

def fails_on_five(record):
    if int(record["id"][1:]) % 5 == 0:
        raise ValueError("five")
    return {"mood": "good"}

def fails_when_rows_are_there(record):
    if int(record["id"][1:]) < 200:
        return {"mood": "good"}
    with contextlib.closing(sqlite3.connect("file:out.db?mode=ro", uri=True)) as database:
        while not database.execute("SELECT count(*) FROM moods").fetchone()[0]:
            time.sleep(0.05)
    raise ValueError("too late")

def slow(record):
    time.sleep(0.5)
    return {"mood": "good"}
"""


def counts(report, *names):
    return {name: report["records"][name] for name in names}


async def run(made, *arguments, environ=None):
    return await loom(made.folder, "run", "pipeline.yaml", "--format", "json", *arguments, environ=environ)


async def test_retry_brings_through_what_fails_now_and_then(tmp_path):
    made = project(tmp_path, 20, transform={**python("transforms:fails_once"), "on_failure": "retry"}, code=CODE)
    end = await run(made)
    assert counts(end.report, "loaded", "quarantined") == {"loaded": 20, "quarantined": 0}, end.err


async def test_a_fixed_output_stands_in_for_a_failure(tmp_path):
    transform = {**python("transforms:fails_on_five"), "fallback": {"value": {"mood": "unknown"}}}
    made = project(tmp_path, 20, transform=transform, code=CODE)
    end = await run(made)
    assert counts(end.report, "loaded", "quarantined") == {"loaded": 20, "quarantined": 0}, end.err
    assert [row["id"] for row in await made.loaded() if row["mood"] == "unknown"] == review_ids(20)[::5]


async def test_too_many_failures_end_a_run_and_say_which_limit(tmp_path):
    transform = {**python("transforms:fails_on_five"), "max_failures": 8}
    made = project(tmp_path, 400, transform=transform, code=CODE, extract={"batch_size": 10})
    end = await run(made)
    report = end.report
    assert report["status"] == "failed", end.err
    assert (report["records"]["loaded"], made.path(made.destination).exists()) == (0, False)
    assert "records failed; max_failures is 8" in report["error"]
    assert report["records"]["quarantined"] > 8
    assert_balanced(report)


async def test_a_run_that_a_limit_ended_goes_on_when_resumed_and_counts_anew(tmp_path):
    """More records than a run has under way at once: the limit is passed while most of them are still in the source."""
    transform = {**python("transforms:fails_on_five"), "max_failures": 200}
    made = project(tmp_path, 2000, transform=transform, code=CODE, extract={"batch_size": 5})
    first = await run(made, environ={"LOOM_WORKER_PREFETCH": "2"})
    assert (first.report["status"], first.report["reason"]) == ("failed", "failure_limit"), first.err
    assert first.report["records"]["staged"] > 0
    assert first.report["records"]["quarantined"] < 400
    last = await loom(made.folder, "resume", first.report["run_id"], "--format", "json")
    assert counts(last.report, "loaded", "quarantined") == {"loaded": 1600, "quarantined": 400}, last.err
    assert (last.report["status"], last.report["reason"]) == ("succeeded", None)
    assert sorted(ids(await made.loaded())) == [name for name in review_ids(2000) if int(name[1:]) % 5]
    assert (await loom(made.folder, "resume", first.report["run_id"])).code == 2


async def test_a_run_that_a_limit_ended_is_partial_where_records_are_in_the_destination(tmp_path):
    transform = {**python("transforms:fails_when_rows_are_there"), "max_failures": 8}
    made = project(
        tmp_path,
        400,
        transform=transform,
        code=CODE,
        extract={"batch_size": 10},
        destination="sqlite:///out.db?table=moods",
    )
    report = (await run(made)).report
    assert (report["status"], report["reason"]) == ("partial", "failure_limit")
    assert report["records"]["loaded"] == len(await made.loaded()) > 0


async def test_a_rate_of_failures_ends_a_run(tmp_path):
    transform = {**python("transforms:fails_on_five"), "max_failure_rate": 0.1}
    made = project(tmp_path, 400, transform=transform, code=CODE, extract={"batch_size": 10})
    end = await run(made)
    assert end.report["status"] == "failed"
    assert "max_failure_rate is 10.0%" in end.report["error"]
    assert_balanced(end.report)


async def test_within_its_limits_a_run_succeeds(tmp_path):
    transform = {**python("transforms:fails_on_five"), "max_failures": 80, "max_failure_rate": 0.2}
    made = project(tmp_path, 400, transform=transform, code=CODE, extract={"batch_size": 10})
    end = await run(made)
    assert (end.report["status"], counts(end.report, "quarantined")) == ("succeeded", {"quarantined": 80}), end.err


async def test_a_run_that_takes_too_long_fails_and_resumes(tmp_path):
    made = project(tmp_path, 40, transform=python("transforms:slow"), code=CODE, extract={"batch_size": 5})
    made.say(timeouts={"run": "2s"})
    end = await run(made, environ={"LOOM_WORKER_PREFETCH": "1"})
    assert (end.code, end.report["status"]) == (1, "failed"), end.err
    assert "took longer than 2s" in end.report["error"]
    assert_balanced(end.report)


async def test_another_model_answers_where_the_first_refuses(tmp_path):
    async with SimulatedModel() as model:
        model.faults.extend(["refused"] * 3)
        made = project(tmp_path, 12, transform=ai(model.base_url, fallback=["gpt-4.1"]))
        end = await run(made)
        asked = [body["model"] for body in model.bodies]
    assert counts(end.report, "loaded", "quarantined") == {"loaded": 12, "quarantined": 0}, end.err
    assert (asked.count("gpt-4o-mini"), asked.count("gpt-4.1")) == (12, 3)


async def test_a_row_that_the_destination_refuses_goes_to_the_second_one(tmp_path):
    with closing(sqlite3.connect(tmp_path / "out.db")) as database:
        database.execute("CREATE TABLE moods (id TEXT PRIMARY KEY, mood TEXT CHECK (mood <> 'odd'))")
    code = "def judged(record):\n    return {'mood': 'odd' if record['id'] == 'r000004' else 'good'}"
    made = project(
        tmp_path,
        10,
        transform=python(),
        code=code,
        destination="sqlite:///out.db?table=moods",
        load={"fallback": "refused.jsonl"},
    )
    end = await run(made)
    assert counts(end.report, "loaded", "quarantined") == {"loaded": 10, "quarantined": 0}, end.err
    assert len(await made.loaded()) == 9
    assert await rows_at("refused.jsonl", made.folder, {}) == [{"id": "r000004", "mood": "odd"}]


async def test_a_second_destination_that_is_not_needed_is_not_made(tmp_path):
    made = project(tmp_path, 10, load={"fallback": "refused.csv"})
    end = await run(made)
    assert end.report["status"] == "succeeded", end.err
    assert ids(await made.loaded()) == review_ids(10)
    assert not made.path("refused.csv").exists()


async def test_validate_looks_at_the_second_destination_too(tmp_path):
    made = project(tmp_path, 10, load={"fallback": "sqlite:///second.db"})
    end = await loom(made.folder, "validate", "pipeline.yaml")
    assert end.code == 2
    assert "names no table" in end.out


async def test_contradictory_wishes_are_told_with_their_place(tmp_path):
    made = project(tmp_path, 10, transform={"type": "passthrough", "on_failure": "fallback"})
    end = await loom(made.folder, "validate", "pipeline.yaml")
    assert end.code == 2
    assert "expected `fallback`, which on_failure: fallback needs" in " ".join(end.out.split())
