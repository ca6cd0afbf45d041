"""Tests transforms that make several calls for one record: samples, refinement by a judge."""

from __future__ import annotations

import pytest

from loom.session import open_session
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.command import Command, loom, runs
from support.places import Place, spent, table
from support.projects import ai, project, review_ids
from support.simulated_model import SimulatedModel

RECORDS = 12
AT_ONCE = 6
ROUNDS = {"n": 3, "temperature": 0.8, "gleaning": {"max_rounds": 1, "accept": "score >= 0.5"}}


async def test_every_call_is_on_the_books_under_its_purpose(here, model):
    await every_call_is_on_the_books(here, model, "several")


async def test_so_it_is_on_rabbitmq(fleet, model):
    await every_call_is_on_the_books(fleet, model, "several_fleet")


async def every_call_is_on_the_books(place: Place, model: SimulatedModel, name: str) -> None:
    model.variety = 0.5
    made = project(
        place.folder / name,
        RECORDS,
        name=name,
        transform=ai(model.base_url, **ROUNDS, vote_by="mood"),
        evaluate={"evaluators": [{"type": "range", "field": "agreement", "min": 0.9, "threshold": 1.0}]},
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "sqlite:///out.db?table=several",
        extract={"batch_size": 4},
    )
    async with open_session(place.config, cluster=place.clustered) as session:
        first, second = [
            (await ended(session, (await session.start(request_of(made, place.config))).run_id)).report.model_dump()
            for _ in range(2)
        ]
    assert_balanced(first)
    assert first["calls"]["made"] == model.calls
    assert first["cost"]["total"] == pytest.approx(spent(model), abs=1e-9)
    query = f"SELECT purpose, SUM(made) AS made FROM run_calls WHERE run_id = '{first['run_id']}' GROUP BY purpose"
    made_for = {row["purpose"]: row["made"] for row in await table(place, query)}
    assert (made_for["transform"], made_for["sample"]) == (RECORDS, 2 * RECORDS)
    # An answer that a round does not change is not judged again.
    assert 3 * RECORDS <= made_for["judge"] <= 3 * RECORDS + made_for["refine"]
    rows = await made.loaded(place.environ)
    assert len(rows) == first["records"]["loaded"] < RECORDS  # some samples differ, and their records are kept back
    assert {float(row["agreement"]) for row in rows} == {1.0}
    assert second["calls"]["made"] == 0
    assert second["records"] == first["records"]


async def test_a_killed_run_asks_again_for_what_was_in_flight_alone(tmp_path, model):
    transform = ai(model.base_url, **ROUNDS)
    made = project(tmp_path, RECORDS, transform=transform, destination="out.csv", extract={"batch_size": 4})
    environ = {"LOOM_MODELS_CONCURRENCY": str(AT_ONCE)}
    model.hold_after(5 * RECORDS)
    command = await Command.begin(tmp_path, "run", made.pipeline.name, environ=environ)
    await command.reach(lambda: model.calls > 5 * RECORDS)
    await command.kill()
    model.let_go()
    report = (await loom(tmp_path, "resume", runs(tmp_path)[0], "--format", "json", environ=environ)).report
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    # Without a kill, each conversation is asked once for each of the three samples.
    assert 0 < sum(times - 3 for times in model.asked.values()) + model.calls - model.answered <= AT_ONCE
