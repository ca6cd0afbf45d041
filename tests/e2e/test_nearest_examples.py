"""Runs whose questions show pictures and the solved examples that an embedding model finds nearest, embedded and on
RabbitMQ with Postgres, and whose records people judge there."""

from __future__ import annotations

import json

import pytest

from loom.labelling import label_session
from loom.labelling.report import Wanted, report
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_ai.budget.prices import Prices, Tokens
from support.batches import come_again_soon, quick
from support.books import assert_balanced
from support.clients import ended, request_of
from support.media import png
from support.places import Place, outcome, table
from support.projects import Project, ai, project, reviews
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel

RECORDS, EXAMPLES = 12, 70
EMBEDDING = "text-embedding-3-small"
TEXTS = {each["id"]: each["review"] for each in reviews(RECORDS)}
SOLVED = {"file": "solved.jsonl", "count": 2, "choose": "nearest", "by": "review", "embedding": EMBEDDING}


def with_examples(place: Place, model: SimulatedModel, name: str, **more: object) -> Project:
    """Write a project whose examples hold the text of every third record, among many others."""
    transform = ai(
        model.base_url,
        prompt="Judge: {{ input.review }}",
        examples=SOLVED,
        attachments=[{"image": "photos/{{ input.stars }}.png", "detail": "low"}],
        **more,
    )
    made = project(
        place.folder / name,
        RECORDS,
        name=name,
        transform=transform,
        evaluate={"evaluators": [{"type": "range", "field": "confidence", "min": 0.5, "threshold": 1.0}]},
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "out.jsonl",
        extract={"batch_size": 4},
    )
    twins = [text for number, text in enumerate(TEXTS.values()) if number % 3 == 1]
    solved = [*(f"Something else {number}" for number in range(EXAMPLES)), *twins]
    rows = [json.dumps({"review": text, "mood": "good", "confidence": 0.9}) for text in solved]
    made.path("solved.jsonl").write_text("\n".join(rows), encoding="utf-8")
    made.path("photos").mkdir()
    for stars in range(1, 6):
        made.path(f"photos/{stars}.png").write_bytes(png(8 * stars, 8))
    return made


async def test_the_nearest_examples_are_found_by_a_model_and_paid_for_once(here, model):
    await nearest_are_shown(here, model, "near")


async def test_so_they_are_on_rabbitmq_with_pictures_and_labels(fleet, model):
    run_id, config = await nearest_are_shown(fleet, model, "near_fleet")
    calls = model.calls
    await label_session.draw(config, run_id, None, "ann", RECORDS)  # of fewer, chance may leave a layer out
    async with label_session.opened_session(config, run_id, None, "ann", "terminal") as mine:
        while (shown := await mine.next()) is not None:
            assert shown.contents.record_data["review"] == TEXTS[shown.record.record_id]
            passes = shown.contents.output["confidence"] >= 0.5
            await mine.say(shown.record.record_id, "pass" if passes else "fail")
        said = await report(mine.engine, mine.run, None, Wanted())
    assert (said.labelled, said.subjects[0].agreement, model.calls) == (RECORDS, 1.0, calls)


async def nearest_are_shown(place: Place, model: SimulatedModel, name: str) -> tuple[str, LoomConfig]:
    made = with_examples(place, model, name)
    made.say(monitoring={"cost_budget": 1.0})
    async with open_session(place.config, cluster=place.clustered) as session:
        reports = []
        for _ in range(2):
            accepted = await session.start(request_of(made, place.config))
            reports.append((await ended(session, accepted.run_id)).report.model_dump())
    first, again = reports
    assert_balanced(first)
    query = f"SELECT purpose, SUM(made) AS made FROM run_calls WHERE run_id = '{first['run_id']}' GROUP BY purpose"
    made_for = {row["purpose"]: row["made"] for row in await table(place, query) if row["made"]}
    assert made_for == {"embed": 2 + 3, "transform": RECORDS}  # of the examples, of each batch of records
    assert model.calls == first["calls"]["made"] == RECORDS + 5
    assert first["cost"]["total"] == pytest.approx(charged(model), abs=1e-12)
    assert (again["calls"]["made"], again["cost"]["total"]) == (0, 0)
    shown = {
        turns[-1]["content"][-1]["text"]: turns for body in model.bodies if (turns := body.get("messages")) is not None
    }
    assert len(shown) == RECORDS
    for number, text in enumerate(TEXTS.values()):
        question = f"Judge: {text}"
        turns = shown[question]
        assert len(turns) == 5  # two examples of two turns, and the question
        assert (turns[2]["content"] == question) is (number % 3 == 1), "the most alike comes last"
        assert [part["type"] for part in turns[-1]["content"]] == ["image_url", "text"]
    return first["run_id"], place.config


async def test_a_budget_that_does_not_cover_the_vectors_pauses_the_run_before_any_is_asked_for(here, model):
    made = with_examples(here, model, "poor")
    made.say(monitoring={"cost_budget": 1e-8})
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        paused = await outcome(session, accepted.run_id)
    assert (paused.status, paused.reason, model.calls) == ("paused", "budget_exhausted", 0)


async def test_what_the_examples_cost_stays_on_the_books_while_their_record_waits_for_a_batch(here, model, monkeypatch):
    quick(monkeypatch, GATHER=0.3)
    come_again_soon(monkeypatch)
    made = with_examples(here, model, "waiting")
    transform = {**made.definition["transform"], "execution": "batch"}
    del transform["attachments"]
    made.say(transform=transform)
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        report = (await ended(session, accepted.run_id)).report.model_dump()
    assert_balanced(report)
    assert (model.calls, model.batches.paid.total()) == (5, RECORDS)
    assert report["calls"]["made"] == RECORDS + 5


def charged(model: SimulatedModel) -> float:
    """Return the USD that the provider would charge, by the price of each model."""
    return sum(
        Prices().quote(call_of(model=name), Tokens(given=given, answered=answered)).usd
        for name, (given, answered) in model.used.items()
    )
