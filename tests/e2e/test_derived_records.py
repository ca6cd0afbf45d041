"""Runs pipelines that make several records of one: embedded, killed amid them, on RabbitMQ, and what they kept back
again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from support.books import assert_balanced
from support.command import Command, runs
from support.command import loom as loom_at
from support.places import Place, run_at
from support.projects import at_once, project
from support.simulated_model import SimulatedModel, served_in_a_thread

RECORDS = 8
PARTS = 3
AT_ONCE = 3
CODE = 'def cut(record): return {"lines": [f"{record[\'id\']} {n}" for n in range(3)]}'


def lines(folder: Path, model: SimulatedModel, destination: str = "sqlite:///results.db?table=lines"):
    """Write a pipeline that makes three lines of each review and asks a model about each line."""
    mood = {"mood": {"enum": ["good", "bad"]}}
    steps = [
        {"name": "cut", "type": "python", "function": "transforms:cut"},
        {"name": "lines", "type": "unnest", "field": "lines", "into": "line", "number": "n", "needs": "cut"},
        {"name": "mood", "type": "ai", "model": "gpt-4o-mini", "base_url": model.base_url, "needs": "lines",
         "prompt": "Mood of {{ input.line }}", "output": mood},
    ]  # fmt: skip
    good = {"name": "good", "type": "length", "field": "mood", "min": 4, "threshold": 1.0}
    return project(
        folder, RECORDS, name="lines", transform={"steps": steps}, evaluate={"evaluators": [good]},
        destination=destination, extract={"batch_size": 2}, code=CODE,
    )  # fmt: skip


def assert_true(report, rows, model: SimulatedModel) -> None:
    """The books balance, and each line came to exactly one end: it was loaded, or the gate kept it back."""
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    records = report["records"]
    assert (records["extracted"], records["derived"], records["unnested"]) == (RECORDS, RECORDS * PARTS, RECORDS)
    assert records["loaded"] == len(rows) == len({(row["id"], row["n"]) for row in rows})
    assert records["loaded"] + records["rejected"] == RECORDS * PARTS
    assert records["rejected"] > 0
    assert all(row["mood"] == "good" and row["line"] == f"{row['id']} {row['n'] - 1}" for row in rows)
    assert {each["name"]: (each["seen"], each["derived"]) for each in report["steps"]} == {
        "cut": (RECORDS, 0), "lines": (RECORDS, RECORDS * PARTS), "mood": (RECORDS * PARTS, 0),
    }  # fmt: skip
    assert len(model.asked) == RECORDS * PARTS


async def test_lines_of_records_run_on_rabbitmq_as_they_do_embedded(here, fleet, model):
    rows = {}
    for place in (here, fleet):
        model.asked.clear()
        report, rows[place.clustered] = await run_there(place, model)
        assert_true(report, rows[place.clustered], model)
        assert report["calls"]["made"] == RECORDS * PARTS
    in_order = [sorted((dict(row) for row in rows[there]), key=lambda row: (row["id"], row["n"])) for there in rows]
    assert in_order[0] == in_order[1]


async def run_there(place: Place, model: SimulatedModel):
    folder, destination = place.own("lines")
    return await run_at(place, lines(folder, model, destination))


async def test_a_run_killed_amid_lines_loads_each_once_and_pays_what_was_in_flight_again(tmp_path, model):
    made = lines(tmp_path, model)
    made.say(**at_once(AT_ONCE))
    model.hold_after(10)
    command = await Command.begin(tmp_path, "run", "pipeline.yaml")
    await command.reach(lambda: model.calls > 10)
    await command.kill()
    model.let_go()
    report = (await loom_at(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")).report
    assert_true(report, await made.loaded(), model)
    assert max(model.asked.values()) <= 2
    assert model.calls - len(model.asked) <= AT_ONCE


def test_a_line_that_was_kept_back_is_known_by_its_record_and_runs_again_alone(loom, tmp_path):
    with served_in_a_thread() as model:
        made = lines(tmp_path, model)
        report = json.loads(loom("run", "pipeline.yaml", "--format", "json").out)
        before = asyncio.run(made.loaded())
        kept = json.loads(loom("quarantine", "list", "--run-id", report["run_id"], "--format", "json").out)
        assert len(kept) == report["records"]["rejected"]
        shown = loom("quarantine", "show", kept[0]["record_id"]).out
        parent, _, number = kept[0]["record_id"].partition("#lines.")
        assert f"{parent} by the step lines" in shown
        assert f"Mood of {parent} {int(number) - 1}" in shown  # the question of the step
        (tmp_path / "other.txt").write_text("Say {{ input.line }} is nice", encoding="utf-8")
        model.asked.clear()
        other = ("--step", "mood", "--prompt", "other.txt")
        retried = json.loads(loom("quarantine", "retry", report["run_id"], *other, "--format", "json").out)
    assert (retried["status"], retried["error"]) == ("succeeded", None)
    assert_balanced(retried)
    records = retried["records"]
    assert (records["extracted"], records["derived"], records["unnested"]) == (len(kept), 0, 0)
    assert records["loaded"] + records["rejected"] == len(kept) == len(model.asked)
    rows = asyncio.run(made.loaded())
    assert Counter((row["id"], row["n"]) for row in rows).most_common(1)[0][1] == 1
    assert len(rows) == len(before) + records["loaded"]
    left = json.loads(loom("quarantine", "list", "--run-id", report["run_id"], "--unresolved", "--format", "json").out)
    assert len(left) == records["rejected"]


def test_a_long_text_that_is_split_and_gathered_is_drawn_and_estimated(loom, tmp_path):
    ask = {"type": "ai", "model": "gpt-4o-mini", "output": {"short": "string"}}
    steps = [
        {"name": "parts", "type": "split", "field": "review", "size": 40, "overlap": 5},
        {**ask, "name": "sum", "needs": "parts", "prompt": "Sum up {{ input.review }}"},
        {"name": "whole", "type": "gather", "needs": "sum", "fields": {"shorts": "short"}},
        {**ask, "name": "last", "needs": "whole", "prompt": "Join {{ input.shorts | join(', ') }}",
         "output": {"summary": "string"}},
    ]  # fmt: skip
    rows = [{"id": f"d{n}", "review": "One sentence. Another one follows. " * 4, "stars": "1"} for n in range(2)]
    project(tmp_path, rows, name="long", transform={"steps": steps}, destination="out.jsonl")
    told = json.loads(loom("cost", "pipeline.yaml", "--estimate", "--format", "json").out)
    seen = {each["name"]: (each["seen"], each["derived"]) for each in told["steps"]}
    parts = seen["parts"][1]
    assert parts > 4
    assert seen == {"parts": (2, parts), "sum": (parts, 0), "whole": (2, 0), "last": (2, 0)}
    assert "split" in loom("graph", "pipeline.yaml").out
