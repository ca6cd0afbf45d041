"""Runs a pipeline that looks its records up in a table and in an API: embedded, on RabbitMQ with the same rows, killed
half-way, and with a server that is away for a time; and what is said of it before a run."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.books import assert_balanced
from support.command import Command, runs
from support.command import loom as loom_at
from support.places import Place, run_at
from support.projects import project
from support.rest_server import Api, Fault, serving

RECORDS = 13
NAMES = {"1": "poor", "2": "weak", "3": "fair", "4": "good"}
FIND = {"name": "find", "type": "enrich", "source": "sqlite:///words.db?table=words", "by": {"stars": "stars"},
        "fields": {"word": "name"}, "missing": "null"}  # fmt: skip


@pytest.fixture
def api():
    """Provide an API that knows each review but the last."""
    with serving(Api()) as api:
        api.found = {f"r{at:06}": (200, {"who": {"name": f"writer {at}"}}) for at in range(RECORDS - 1)}
        yield api


def enriched(folder: Path, api: Api, destination="sqlite:///results.db?table=rows"):
    """Write a pipeline whose steps look up a word for the stars of a review, and its writer, for whom there is an
    API."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "words.db")) as db, db:
        db.execute("CREATE TABLE words (stars INTEGER PRIMARY KEY, name TEXT)")
        db.executemany("INSERT INTO words VALUES (?, ?)", NAMES.items())
    ask = {
        "name": "ask", "type": "enrich", "needs": "find", "url": f"{api.url}/find/{{{{ input.id }}}}",
        "fields": {"writer": "who.name"}, "cache": {"entries": 0}, "options": {"attempts": 1},
    }  # fmt: skip
    return project(
        folder, RECORDS, name="enriched", transform={"steps": [FIND, ask]}, destination=destination,
        extract={"batch_size": 2}, load={"include": ["stars"]},
    )  # fmt: skip


def assert_true(report, rows) -> None:
    """Every record came to one end: the one that the API does not know is kept back."""
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    assert (report["records"]["loaded"], report["records"]["quarantined"]) == (RECORDS - 1, 1)
    assert {each["name"]: (each["seen"], each["failed"]) for each in report["steps"]} == {
        "find": (RECORDS, 0), "ask": (RECORDS, 1)
    }  # fmt: skip
    found = {row["id"]: (row["word"], row["writer"]) for row in rows}
    assert found == {row["id"]: (NAMES.get(row["stars"]), f"writer {int(row['id'][1:])}") for row in rows}
    assert len(rows) == len(found) == RECORDS - 1


async def test_records_are_looked_up_on_rabbitmq_as_they_are_embedded(here, fleet, api):
    rows = {}
    for place in (here, fleet):
        report, rows[place.clustered] = await run_there(place, api)
        assert_true(report, rows[place.clustered])
    assert rows[True] == rows[False]


async def run_there(place: Place, api: Api):
    folder, destination = place.own("rows")
    return await run_at(place, enriched(folder, api, destination))


async def test_a_run_killed_half_way_loads_each_record_once(tmp_path, api):
    made = enriched(tmp_path, api)
    api.slow_after = 5
    command = await Command.begin(tmp_path, "run", "pipeline.yaml")
    await command.reach(lambda: len(api.asked) > 6)
    await command.kill()
    api.slow_after = None
    report = (await loom_at(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")).report
    assert_true(report, await made.loaded())


def test_a_server_that_is_away_for_a_time_costs_no_record(loom, tmp_path, api):
    made = enriched(tmp_path, api)
    api.faults = [Fault(503)] * 3  # the first answers the question that is asked before the run
    report = json.loads(loom("run", "pipeline.yaml", "--wait", "--format", "json").out)
    assert_true(report, asyncio.run(made.loaded()))


def test_what_is_wrong_with_a_lookup_is_told_with_its_line_before_a_run(loom, tmp_path, api):
    made = enriched(tmp_path, api)
    said = loom("validate", "pipeline.yaml")
    assert said.code == 0
    assert "sqlite:///words.db?table=words: word by stars" in said.words
    steps = made.definition["transform"]["steps"]
    wrong = [{**FIND, "by": {"stras": "stars"}, "fields": {"word": "nam"}}, {**steps[1], "needs": "find"}]
    made.say(transform={"steps": wrong})
    said = loom("validate", "pipeline.yaml")
    lines = made.pipeline.read_text(encoding="utf-8").splitlines()
    place = {key: next(at for at, line in enumerate(lines, 1) if f'"{key}"' in line) for key in ("stras", "fields")}
    assert said.code == 2
    assert f"pipeline.yaml:{place['stras']}:" in said.words
    assert "'stras'; expected a field of the source or of a step that it needs: id, review, stars" in said.words
    assert f"pipeline.yaml:{place['fields']}:" in said.words
    assert "'nam'; expected a column of what is looked through: stars, name. Did you mean 'name'?" in said.words
    made.say(transform={"steps": [FIND, {**steps[1], "url": "http://127.0.0.1:9/{{ input.id }}"}]})
    assert "http://127.0.0.1:9/{{ input.id }} cannot be reached" in loom("validate", "pipeline.yaml").words
    made.say(transform={"steps": [{**FIND, "source": "${NOT_SET}?table=words"}]})
    assert loom("validate", "pipeline.yaml").words.count("${NOT_SET} is not set") == 1


def test_lookups_are_drawn_and_estimated(loom, tmp_path, api):
    enriched(tmp_path, api)
    drawn = loom("graph", "pipeline.yaml").out
    assert "find  enrich  sqlite:///words.db?table=words by stars" in drawn
    told = json.loads(loom("cost", "pipeline.yaml", "--estimate", "--format", "json").out)
    assert [(each["name"], each["seen"], each["calls_made"]) for each in told["steps"]] == [
        ("find", RECORDS, 0),
        ("ask", RECORDS, 0),
    ]
