"""Runs a pipeline that routes reviews, asks models about each at once, and sums up all reviews of a group: embedded,
on RabbitMQ with the same results, killed before and after all are there, and what it kept back again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from support.books import assert_balanced
from support.command import Command, runs
from support.command import loom as loom_at
from support.places import Place, run_at
from support.projects import at_once, project, reviews
from support.simulated_model import SimulatedModel, served_in_a_thread

RECORDS = 13
"""The last one is a copy of the one before under another id: which of the two goes on depends on who is there first."""
AT_ONCE = 3
MOOD = {"mood": {"enum": ["good", "bad"]}}


def products(
    folder: Path, model: SimulatedModel, summing: SimulatedModel, destination="sqlite:///results.db?table=products"
):
    """Write a pipeline whose steps filter, route, ask three models at once, group, and ask about each group, for which
    there is an endpoint of its own."""
    ask = {"type": "ai", "model": "gpt-4o-mini", "base_url": model.base_url}
    steps = [
        {"name": "once", "type": "dedupe", "by": "review"},
        {"name": "worth", "type": "filter", "where": "int(stars) > 1", "needs": "once"},
        {"name": "triage", "type": "router", "needs": "worth", "routes": {"low": "int(stars) < 4"}, "otherwise": "up"},
        {**ask, "name": "why", "prompt": "Why {{ input.review }}", "output": {"why": "string"}, "needs": "triage.low"},
        {**ask, "name": "how", "prompt": "How {{ input.review }}", "output": {"how": "string"}, "needs": "triage.up"},
        {**ask, "name": "mood", "prompt": "Mood of {{ input.review }}", "output": MOOD, "needs": "worth"},
        {**ask, "name": "topic", "prompt": "Topic {{ input.review }}", "output": {"topic": "string"}, "needs": "worth"},
        {"name": "by_stars", "type": "group", "by": "stars", "needs": ["why", "how", "mood", "topic"],
         "fields": {"id": {"first": "id"}, "reviews": "count", "moods": {"list": "mood"}, "topics": {"list": "topic"}}},
        {**ask, "name": "all", "base_url": summing.base_url, "needs": "by_stars",
         "prompt": "Judge {{ input.moods }}, {{ input.topics }} of {{ input.stars }}",
         "output": {"overall": {"enum": ["good", "fine", "bad"]}}},
    ]  # fmt: skip
    rows = list(reviews(RECORDS - 1))
    good = {"name": "good", "type": "length", "field": "overall", "min": 4, "threshold": 1.0}
    return project(
        folder, [*rows, {**rows[-1], "id": "r000012"}], name="products", transform={"steps": steps},
        evaluate={"evaluators": [good]}, destination=destination, extract={"batch_size": 2},
    )  # fmt: skip


def assert_true(report, rows, model: SimulatedModel, summing: SimulatedModel) -> None:
    """The books balance, and every group came to exactly one end."""
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    records = report["records"]
    found = {name: records[name] for name in ("extracted", "filtered", "grouped", "derived")}
    assert found == {"extracted": RECORDS, "filtered": 4, "grouped": 9, "derived": 4}
    assert records["loaded"] == len(rows) == len({row["stars"] for row in rows})
    assert records["loaded"] + records["rejected"] == 4
    steps = {each["name"]: (each["seen"], each["derived"]) for each in report["steps"]}
    assert (steps["by_stars"], steps["all"], steps["mood"]) == ((9, 4), (4, 0), (9, 0))
    assert {each["name"]: each["filtered"] for each in report["steps"] if each["filtered"]} == {"once": 1, "worth": 3}
    assert {row["stars"]: row["reviews"] for row in rows if row["stars"] == "2"} in ({}, {"2": 3})
    assert (len(model.asked), len(summing.asked)) == (9 * 3, 4)


async def test_reviews_are_grouped_on_rabbitmq_as_they_are_embedded(here, fleet, model, judge):
    rows = {}
    for place in (here, fleet):
        model.asked.clear()
        judge.asked.clear()
        report, rows[place.clustered] = await run_there(place, model, judge)
        assert_true(report, rows[place.clustered], model, judge)
    in_order = [sorted(map(read, rows[there]), key=lambda row: row["stars"]) for there in rows]
    assert in_order[0] == in_order[1]


def read(row):
    """Return a row with its lists, which each database writes in its own way."""
    return {**row, **{name: json.loads(row[name]) for name in ("moods", "topics")}}


async def run_there(place: Place, model: SimulatedModel, summing: SimulatedModel):
    folder, destination = place.own("products")
    return await run_at(place, products(folder, model, summing, destination))


async def test_a_run_killed_before_and_after_its_groups_are_complete_loads_each_once(tmp_path, model, judge):
    made = products(tmp_path, model, judge)
    made.say(**at_once(AT_ONCE))
    model.hold_after(10)
    command = await Command.begin(tmp_path, "run", "pipeline.yaml")
    await command.reach(lambda: model.calls > 10)
    await command.kill()
    model.let_go()
    judge.hold_after(1)
    command = await Command.begin(tmp_path, "resume", runs(tmp_path)[0])
    await command.reach(lambda: judge.calls > 1)
    await command.kill()
    judge.let_go()
    report = (await loom_at(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")).report
    assert_true(report, await made.loaded(), model, judge)
    for server in (model, judge):  # each was killed once
        assert max(server.asked.values()) <= 2
        assert server.calls - len(server.asked) <= AT_ONCE


def test_a_pipeline_with_groups_is_drawn_estimated_and_run_again_from_its_groups(loom, tmp_path):
    with served_in_a_thread() as model:
        made = products(tmp_path, model, model)
        drawn = loom("graph", "pipeline.yaml").out
        assert "by_stars  group   by stars  <- why, how, mood, topic" in drawn
        told = json.loads(loom("cost", "pipeline.yaml", "--estimate", "--format", "json").out)
        steps = {each["name"]: (each["seen"], each["derived"], each["calls_made"]) for each in told["steps"]}
        assert (steps["by_stars"], steps["all"]) == ((9, 4, 0), (4, 0, 4))
        report = json.loads(loom("run", "pipeline.yaml", "--format", "json").out)
        kept = json.loads(loom("quarantine", "list", "--run-id", report["run_id"], "--format", "json").out)
        assert len(kept) == report["records"]["rejected"] > 0
        assert " by the step by_stars" in loom("quarantine", "show", kept[0]["record_id"]).out
        (tmp_path / "other.txt").write_text("Say {{ input.moods }} of {{ input.stars }}", encoding="utf-8")
        model.asked.clear()
        other = ("--step", "all", "--prompt", "other.txt")
        retried = json.loads(loom("quarantine", "retry", report["run_id"], *other, "--format", "json").out)
    assert (retried["status"], retried["error"]) == ("succeeded", None)
    assert_balanced(retried)
    assert len(model.asked) == len(kept)
    rows = asyncio.run(made.loaded())
    assert (
        len(rows) == len({row["stars"] for row in rows}) == report["records"]["loaded"] + retried["records"]["loaded"]
    )
