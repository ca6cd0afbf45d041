"""Runs a pipeline whose steps find rows and records by the vectors of an embedding model: embedded, on RabbitMQ, and
killed half-way."""

from __future__ import annotations

import json
from pathlib import Path

from support.books import assert_balanced
from support.command import loom as loom_at
from support.killed_runs import killed_and_resumed
from support.places import Place, run_at
from support.projects import at_once, project
from support.simulated_model import SimulatedModel, served_in_a_thread

RECORDS = 12
AT_ONCE = 2
COLOURS = ("red", "green", "blue")


def compared(folder: Path, model: SimulatedModel, destination="sqlite:///results.db?table=compared"):
    """Write a pipeline that finds the shade of each review by its words, and then the reviews that are the same."""
    embedding = {"model": "text-embedding-3-small", "dimensions": 64, "base_url": model.base_url}
    steps = [
        {"name": "shade", "type": "join", "source": "shades.csv", "alike": {"review": "words"}, "fields": ["shade"],
         "embedding": embedding, "similarity": 0.3, "missing": "skip"},
        {"name": "same", "type": "resolve", "block": "shade", "compare": "review", "embedding": embedding,
         "similarity": 0.9, "needs": "shade",
         "fields": {"id": {"first": "id"}, "records": "count", "ids": {"list": "id"}}},
    ]  # fmt: skip
    texts = [f"lamp {COLOURS[at % 3]} {COLOURS[at % 3]} {'a' * (1 + at // 6)}" for at in range(RECORDS)]
    rows = [{"id": f"r{at:02}", "stars": "1", "review": text} for at, text in enumerate(texts)]
    made = project(folder, rows, name="compared", transform={"steps": steps}, destination=destination,
                   extract={"batch_size": 3})  # fmt: skip
    lines = [f"{number},something {colour}" for number, colour in enumerate(COLOURS)]
    (folder / "shades.csv").write_text("\n".join(["shade,words", *lines, ""]), encoding="utf-8")
    return made


def told(rows):
    """Return what does not depend on the database that rows lie in."""
    listed = [json.loads(row["ids"]) if isinstance(row["ids"], str) else row["ids"] for row in rows]
    return sorted((row["shade"], row["same_id"], *ids) for row, ids in zip(rows, listed, strict=True))


EXPECTED = sorted(
    (str(colour), f"r{first:02}", f"r{first:02}", f"r{first + 3:02}")
    for colour in range(3)
    for first in (colour, colour + 6)
)
"""Holds two entities of each colour: the reviews with the same words."""


def assert_true(report, rows, model: SimulatedModel) -> None:
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    assert told(rows) == EXPECTED
    assert report["records"]["loaded"] == len(EXPECTED)
    assert report["cost"]["total"] > 0


async def test_what_vectors_find_is_the_same_on_rabbitmq_and_embedded(here, fleet, model):
    for place in (here, fleet):
        report, rows = await run_there(place, model)
        assert_true(report, rows, model)
        assert report["calls"]["made"] > 0


async def run_there(place: Place, model: SimulatedModel):
    folder, destination = place.own("compared_by_vectors")
    return await run_at(place, compared(folder, model, destination))


async def test_a_run_that_was_killed_asks_again_for_what_was_in_flight_alone(tmp_path, model):
    whole = compared(tmp_path / "whole", model)
    report = (await loom_at(tmp_path / "whole", "run", "pipeline.yaml", "--format", "json")).report
    assert_true(report, await whole.loaded(), model)
    undisturbed, model.calls = model.calls, 0
    torn = compared(tmp_path / "torn", model)
    torn.say(**at_once(AT_ONCE))
    report = await killed_and_resumed(torn, model, after=2)
    assert_true(report, await torn.loaded(), model)
    assert model.calls <= undisturbed + AT_ONCE


def test_a_pipeline_that_compares_by_vectors_is_validated_drawn_and_estimated(loom, tmp_path):
    with served_in_a_thread() as model:
        compared(tmp_path, model, "out.jsonl")
        assert "ok" in loom("validate", "pipeline.yaml").out.casefold()
        drawn = loom("graph", "pipeline.yaml").out
        assert "shades.csv by review = words, text-embedding-..." in drawn
        assert "by review, text-embedding-3-small" in drawn
        estimate = json.loads(loom("cost", "pipeline.yaml", "--estimate", "--format", "json").out)
        assert estimate["cost"]["total"] > 0, estimate
        assert model.calls == 0
