"""Runs pipelines with steps: embedded, killed amid them, and on RabbitMQ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.books import assert_balanced
from support.command import Command, runs
from support.command import loom as loom_at
from support.places import Place, run_at, spent
from support.projects import at_once, project
from support.simulated_model import SimulatedModel

EXAMPLE = Path(__file__).parents[2] / "examples/customer_sentiment"
RECORDS = 24
AT_ONCE = 3


def steps(url: str) -> dict[str, object]:
    """Return a filter, a question, a router on its answer, a further question on one branch, and one beside."""
    ask = {"type": "ai", "model": "gpt-4o-mini", "base_url": url}
    topic, mood = {"topic": "string"}, {"mood": {"enum": ["good", "bad"]}}
    return {
        "steps": [
            {"name": "some", "type": "filter", "where": "id != 'r000003'"},
            {**ask, "name": "mood", "needs": "some", "prompt": "Mood of {{ input.id }}", "output": mood},
            {"name": "route", "type": "router", "needs": "mood", "by": "mood", "routes": {"bad": "bad"},
             "otherwise": "good"},
            {**ask, "name": "why", "needs": "route.bad", "prompt": "Why {{ input.mood }}, {{ input.id }}?",
             "output": {"why": "string"}},
            {**ask, "name": "topic", "needs": "some", "prompt": "Topic of {{ input.id }}", "output": topic},
        ]
    }  # fmt: skip


def stepped(folder: Path, model: SimulatedModel, destination: str):
    extract = {"batch_size": 6}
    return project(
        folder, RECORDS, name="stepped", transform=steps(model.base_url), destination=destination, extract=extract
    )


def assert_true(report, rows, model: SimulatedModel) -> None:
    """The books balance by step, each question was asked, and each record was loaded once, with its branch's fields."""
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    seen = {each["name"]: each for each in report["steps"]}
    bad = sum(row["mood"] == "bad" for row in rows)
    assert (report["records"]["filtered"], seen["some"]["filtered"], len(rows)) == (1, 1, RECORDS - 1)
    assert {name: each["seen"] for name, each in seen.items()} == {
        "some": RECORDS, "mood": len(rows), "route": len(rows), "why": bad, "topic": len(rows),
    }  # fmt: skip
    assert seen["route"]["branches"] == {"bad": bad, "good": len(rows) - bad}
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(bool(row.get("why")) is (row["mood"] == "bad") and row["topic"] for row in rows)
    assert report["calls"]["made"] == len(model.asked) == 2 * len(rows) + bad
    assert sum(each["cost"] for each in report["steps"]) == pytest.approx(report["cost"]["total"])


async def test_steps_run_on_rabbitmq_as_they_do_embedded(here, fleet, model):
    rows = {}
    for place in (here, fleet):
        model.asked.clear()
        report, rows[place.clustered] = await run_there(place, model)
        assert_true(report, rows[place.clustered], model)
    assert filled(rows[True]) == filled(rows[False])


def filled(rows):
    """Return the fields that rows have. A table has every column in every row, and a JSON line only what was made."""
    return [{name: value for name, value in dict(row).items() if value is not None} for row in rows]


async def run_there(place: Place, model: SimulatedModel):
    destination = "${RESULTS}?table=stepped" if place.clustered else "out.jsonl"
    return await run_at(place, stepped(place.folder / "stepped", model, destination))


async def test_a_run_killed_amid_steps_pays_again_what_was_in_flight_alone(tmp_path, model):
    made = stepped(tmp_path, model, "out.jsonl")
    made.say(**at_once(AT_ONCE))
    model.hold_after(20)
    command = await Command.begin(tmp_path, "run", made.pipeline.name)
    await command.reach(lambda: model.calls > 20)
    await command.kill()
    model.let_go()
    report = (await loom_at(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")).report
    assert_true(report, await made.loaded(), model)
    assert 0 <= model.calls - len(model.asked) <= AT_ONCE
    assert max(model.asked.values()) <= 2
    assert report["cost"]["total"] <= spent(model)


def test_the_example_runs_without_a_key_and_its_lineage_tells_the_steps(loom, tmp_path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("results", ".loom"))
    ran = loom("run", "pipeline-steps.yaml", "--sample", "200", "--format", "json")
    report = json.loads(ran.out)
    assert report["records"]["extracted"] == report["records"]["loaded"] + report["records"]["filtered"]
    assert report["records"]["filtered"] > 0
    (line,) = json.loads(loom("lineage", "customer_letters", "--format", "json").out)
    stages = {each["stage"]: each for each in line["stages"]}
    assert [each["name"] for each in stages["transform"]["steps"]] == [each["name"] for each in report["steps"]]
    shown = loom("status", report["run_id"]).out
    assert "triage" in shown
    assert "filtered" in shown
    drawn = loom("graph", "pipeline-steps.yaml", "--run-id", report["run_id"]).out
    assert f"[{report['records']['extracted']:,}]" in drawn


def test_the_example_with_groups_sums_up_every_review_once(loom, tmp_path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("results", ".loom"))
    report = json.loads(loom("run", "pipeline-groups.yaml", "--sample", "200", "--format", "json").out)
    records, rows = report["records"], report["rows"]
    assert {row["sentiment"] for row in rows} == {"positive", "negative", "neutral"}
    assert records["extracted"] == records["grouped"] + records["filtered"]
    assert sum(row["reviews"] for row in rows) == records["grouped"]
    assert records["loaded"] == records["derived"] == len(rows)
    assert rows[0]["summary"].startswith(f"{rows[0]['reviews']} reviews are {rows[0]['sentiment']}")
    drawn = loom("graph", "pipeline-groups.yaml", "--run-id", report["run_id"]).out
    assert f"[{records['grouped']:,}]" in drawn


def test_a_profile_runs_some_steps_and_says_which(loom, tmp_path):
    code = "def size(record): return {'size': 1}\ndef sorry(record): return {'sorry': record['sentiment']}"
    steps = [
        {"name": "mood", "type": "scorer", "scorer": "vader", "field": "review"},
        {"name": "sorry", "type": "python", "function": "transforms:sorry", "needs": "mood"},
        {"name": "size", "type": "python", "function": "transforms:size"},
    ]
    made = project(tmp_path, 3, transform={"steps": steps}, destination="out.jsonl", code=code)
    made.say(profiles={"quick": {"steps": ["sorry"], "parallel": False}})
    ran = loom("run", "pipeline.yaml", "--profile", "quick", "--format", "json")
    assert [each["name"] for each in json.loads(ran.out)["steps"]] == ["mood", "sorry"]
    assert "takes mood, sorry. Added, because others need them: mood." in ran.err
    assert not any("size" in json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    refused = loom("run", "pipeline.yaml", "--profile", "quik")
    assert refused.code == 2
    assert "Did you mean quick?" in refused.err
