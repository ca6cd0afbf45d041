"""Runs a pipeline that joins records with another source: embedded, on RabbitMQ, and killed while that changes."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from support.books import assert_balanced
from support.command import Command, runs
from support.command import loom as loom_at
from support.places import Place, run_at
from support.projects import at_once, project
from support.simulated_model import SimulatedModel, served_in_a_thread

RECORDS = 12
AT_ONCE = 2
EXAMPLE = Path(__file__).parents[2] / "examples" / "customer_sentiment"


def joined(folder: Path, model: SimulatedModel, destination="results.db"):
    """Write a pipeline that finds the aisle of each review by its stars, and its product by a model."""
    steps = [
        {"name": "aisle", "type": "join", "source": "aisles.csv", "on": "stars", "fields": ["aisle"],
         "missing": "skip"},
        {"name": "product", "type": "join", "source": "products.csv", "alike": {"review": "words"}, "candidates": 3,
         "model": "gpt-4o-mini", "base_url": model.base_url, "needs": "aisle", "fields": {"product": "code"}},
    ]  # fmt: skip
    rows = [{"id": f"r{at:02}", "stars": str(at % 4), "review": f"thing {at} lamp"} for at in range(RECORDS)]
    made = project(folder, rows, name="joined", transform={"steps": steps}, destination=destination,
                   extract={"batch_size": 2})  # fmt: skip
    (folder / "aisles.csv").write_text("stars,aisle\n1,left\n2,right\n3,top\n", encoding="utf-8")
    lines = [f"p{at},lamp {at}" for at in range(RECORDS)]
    (folder / "products.csv").write_text("\n".join(["code,words", *lines, ""]), encoding="utf-8")
    return made


def assert_true(report, model: SimulatedModel) -> None:
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    assert (report["records"]["filtered"], report["records"]["loaded"]) == (3, 9)
    steps = {each["name"]: (each["seen"], each["filtered"]) for each in report["steps"]}
    assert steps == {"aisle": (12, 3), "product": (9, 0)}
    assert len(model.asked) == 9


async def test_records_are_joined_on_rabbitmq_as_they_are_embedded(here, fleet, model):
    found = []
    for place in (here, fleet):
        model.asked.clear()
        report, rows = await run_there(place, model)
        assert_true(report, model)
        found.append(sorted((row["id"], row["aisle"], row["product"]) for row in rows))
    assert found[0] == found[1]
    assert {aisle for _, aisle, _ in found[0]} == {"left", "right", "top"}


async def run_there(place: Place, model: SimulatedModel):
    folder, destination = place.own("joined")
    return await run_at(place, joined(folder, model, destination))


async def test_a_run_that_was_killed_goes_on_with_the_rows_that_it_began_with(tmp_path, model):
    made = joined(tmp_path, model, "sqlite:///results.db?table=joined")
    made.say(**at_once(AT_ONCE))
    model.hold_after(3)
    command = await Command.begin(tmp_path, "run", "pipeline.yaml")
    await command.reach(lambda: model.calls > 3)
    await command.kill()
    model.let_go()
    for name in ("aisles.csv", "products.csv"):
        lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        (tmp_path / name).write_text("\n".join([lines[0], *lines[:0:-1], "9,new", ""]), encoding="utf-8")
    report = (await loom_at(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")).report
    assert_true(report, model)
    assert model.calls - len(model.asked) <= AT_ONCE  # what was in flight when it was killed
    assert len({row["id"] for row in await made.loaded()}) == 9


def test_the_example_and_a_join_that_asks_are_validated_drawn_estimated_and_shown(loom, tmp_path):
    with served_in_a_thread() as model:
        made = joined(tmp_path, model, "out.jsonl")
        told = loom("validate", "pipeline.yaml").out
        assert "join aisle" in told
        assert "products.csv by review = words, gpt-4o-mini  <- aisle" in loom("graph", "pipeline.yaml").out
        estimate = json.loads(loom("cost", "pipeline.yaml", "--estimate", "--format", "json").out)
        assert {each["name"]: (each["seen"], each["calls_made"]) for each in estimate["steps"]} == {
            "aisle": (12, 0), "product": (9, 9),
        }  # fmt: skip
        assert model.calls == 0
        report = json.loads(loom("run", "pipeline.yaml", "--format", "json").out)
        shown = loom("show", report["run_id"], "r01").out
        assert "aisle: aisles.csv@" in shown
        assert '"aisle": "left"' in shown
    assert len(asyncio.run(made.loaded())) == 9
    (tmp_path / "aisles.csv").write_text("star,aisle\n1,left\n", encoding="utf-8")
    refused = loom("validate", "pipeline.yaml")
    assert refused.code != 0
    assert "has no column 'stars'; it has star, aisle. Did you mean 'star'?" in refused.out + refused.err
    shutil.copytree(EXAMPLE, tmp_path / "ex", ignore=shutil.ignore_patterns("results", ".loom"))
    report = json.loads(loom("run", "ex/pipeline-join.yaml", "--sample", "50", "--format", "json").out)
    teams = {"negative": "care", "neutral": "care", "positive": "community"}
    assert report["records"]["loaded"] == 50
    assert all(row["team"] == teams[row["sentiment"]] for row in report["rows"])
