"""Runs a pipeline that finds which records are the same by a model: embedded, on RabbitMQ, and killed half-way."""

from __future__ import annotations

import json
from pathlib import Path

from support.books import assert_balanced
from support.command import loom as loom_at
from support.killed_runs import killed_and_resumed
from support.places import Place, run_at
from support.projects import at_once, project
from support.simulated_model import SimulatedModel, served_in_a_thread

RECORDS, BLOCKS = 12, 3
PAIRS = BLOCKS * 6
"""Each block has four records, and so six pairs."""
AT_ONCE = 2


def people(folder: Path, model: SimulatedModel, destination="sqlite:///results.db?table=people"):
    """Write a pipeline that asks a model whether two reviews with the same stars are one."""
    who = {
        "name": "who", "type": "resolve", "block": "stars", "compare": "review", "confidence": 0.5,
        "model": "gpt-4o-mini", "base_url": model.base_url,
        "fields": {"id": {"first": "id"}, "records": "count", "ids": {"list": "id"}},
    }  # fmt: skip
    rows = [{"id": f"r{at:02}", "stars": str(at % BLOCKS), "review": f"thing {at}"} for at in range(RECORDS)]
    return project(folder, rows, name="people", transform={"steps": [who]}, destination=destination,
                   extract={"batch_size": 2})  # fmt: skip


def assert_true(report, rows, model: SimulatedModel) -> None:
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    records = report["records"]
    assert (records["grouped"], records["unnested"], records["loaded"]) == (RECORDS, BLOCKS, len(rows))
    assert len(model.asked) == PAIRS
    ids = [each for row in rows for each in listed(row["ids"])]
    assert sorted(ids) == [f"r{at:02}" for at in range(RECORDS)]
    assert all(min(listed(row["ids"])) == row["who_id"] for row in rows)
    assert len(rows) < RECORDS  # some are the same


def listed(value):
    return json.loads(value) if isinstance(value, str) else value


def told(rows):
    """Return what does not depend on the database that rows lie in."""
    return sorted((row["who_id"], row["stars"], row["records"], tuple(listed(row["ids"]))) for row in rows)


async def test_records_are_resolved_on_rabbitmq_as_they_are_embedded(here, fleet, model):
    found = []
    for place in (here, fleet):
        model.asked.clear()
        report, rows = await run_there(place, model)
        assert_true(report, rows, model)
        found.append(told(rows))
    assert found[0] == found[1]


async def run_there(place: Place, model: SimulatedModel):
    folder, destination = place.own("resolved_people")
    return await run_at(place, people(folder, model, destination))


async def test_a_run_that_was_killed_between_two_pairs_resolves_as_one_that_was_not(tmp_path, model):
    whole = people(tmp_path / "whole", model)
    await loom_at(tmp_path / "whole", "run", "pipeline.yaml")
    model.asked.clear()
    model.calls = 0
    torn = people(tmp_path / "torn", model)
    torn.say(**at_once(AT_ONCE))
    report = await killed_and_resumed(torn, model, after=7)
    assert_true(report, await torn.loaded(), model)
    assert model.calls - len(model.asked) <= AT_ONCE  # what was in flight when it was killed
    assert told(await torn.loaded()) == told(await whole.loaded())


def test_a_pipeline_that_resolves_is_validated_drawn_and_estimated(loom, tmp_path):
    with served_in_a_thread() as model:
        people(tmp_path, model, "out.jsonl")
        assert "Added, because others depend on them: who_blocks (for who)" in loom("validate", "pipeline.yaml").out
        drawn = loom("graph", "pipeline.yaml").out
        assert "who_blocks  group    by stars" in drawn
        assert "who         resolve  by review, gpt-4o-mini  <- who_blocks" in drawn
        estimate = json.loads(loom("cost", "pipeline.yaml", "--estimate", "--format", "json").out)
        found = {each["name"]: (each["seen"], each["calls_made"]) for each in estimate["steps"]}
        assert found == {"who_blocks": (RECORDS, 0), "who": (BLOCKS, PAIRS)}
        assert model.calls == 0
        report = json.loads(loom("run", "pipeline.yaml", "--format", "json").out)
        assert report["status"] == "succeeded"
