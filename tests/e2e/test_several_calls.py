"""Tests transforms that make several calls for one record: samples, refinement by a judge, tools."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from loom.session import open_session
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.command import Command, loom, runs
from support.places import Place, outcome, settled, spent, table, until
from support.projects import Project, ai, at_once, project, review_ids
from support.simulated_model import SimulatedModel

RECORDS = 12
AT_ONCE = 6
PER_CALL = 0.0000088
"""An amount in USD: what an average question and its answer cost here."""
ROUNDS = {
    "n": 3,
    "temperature": 0.8,
    "gleaning": {"max_rounds": 1, "accept": "score >= 0.5"},
    "tools": ["transforms:known"],
}
CODE = """
from pathlib import Path


def known(word: str) -> str:
    \"\"\"Look a word up.\"\"\"
    with (Path(__file__).parent / "looked_up.txt").open("a") as file:
        file.write(f"{word}\\n")
    return f"{word} is known"
"""


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
        code=CODE,
    )
    async with open_session(place.config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, place.config))
        first = (await ended(session, accepted.run_id)).report.model_dump()
        calls, uses = model.calls, len(looked_up(made))
        accepted = await session.start(request_of(made, place.config))
        second = (await ended(session, accepted.run_id)).report.model_dump()
    assert_balanced(first)
    assert first["cost"]["total"] == pytest.approx(spent(model), abs=1e-9)
    query = f"SELECT purpose, SUM(made) AS made FROM run_calls WHERE run_id = '{first['run_id']}' GROUP BY purpose"
    made_for = {row["purpose"]: row["made"] for row in await table(place, query)}
    assert (made_for["transform"], made_for["sample"]) == (RECORDS, 2 * RECORDS)
    assert first["calls"]["made"] == calls + made_for["tool"]
    assert made_for["tool"] == made_for["tools"] == uses
    # An answer that a round does not change is not judged again.
    assert 3 * RECORDS <= made_for["judge"] <= 3 * RECORDS + made_for["refine"]
    rows = await made.loaded(place.environ)
    assert len(rows) == first["records"]["loaded"] < RECORDS  # some samples differ, and their records are kept back
    assert {float(row["agreement"]) for row in rows} == {1.0}
    # Another run looks words up again, and as it learns the same, its questions are the same.
    assert (model.calls, second["calls"]["made"], second["cost"]["total"]) == (calls, uses, 0)
    assert second["records"] == first["records"]


async def test_a_killed_run_asks_again_for_what_was_in_flight_alone(tmp_path, model):
    made = project(
        tmp_path, RECORDS, transform=ai(model.base_url, **ROUNDS), destination="out.csv", extract={"batch_size": 4},
        code=CODE,
    )  # fmt: skip
    made.say(**at_once(AT_ONCE))
    model.hold_after(5 * RECORDS)
    command = await Command.begin(tmp_path, "run", made.pipeline.name)
    await command.reach(lambda: model.calls > 5 * RECORDS)
    await command.kill()
    model.let_go()
    report = (await loom(tmp_path, "resume", runs(tmp_path)[0], "--format", "json")).report
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    # Without a kill, each conversation is asked once for each of the three samples.
    with closing(sqlite3.connect(tmp_path / ".loom" / "journal.db")) as journal:
        [(kept,)] = journal.execute("SELECT count(*) FROM journal WHERE purpose = 'tool'")
    assert 0 <= len(looked_up(made)) - kept <= AT_ONCE
    assert 0 < sum(times - 3 for times in model.asked.values()) + model.calls - model.answered <= AT_ONCE


async def test_a_budget_that_ends_amid_the_calls_for_a_record_is_kept_and_what_was_answered_is_not_paid_for_again(
    here, model
):
    transform = ai(model.base_url, n=3, temperature=1, max_tokens=40)
    made = project(here.folder, RECORDS, transform=transform, destination="out.csv", extract={"batch_size": 4})
    budget = 24 * PER_CALL
    made.say(monitoring={"cost_budget": budget})
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        paused = await outcome(session, accepted.run_id)
        assert (paused.status, paused.reason) == ("paused", "budget_exhausted")
        await until(lambda: settled(here.config, accepted.run_id, model), value=True)
        assert spent(model) <= budget
        assert 0 < model.calls < 3 * RECORDS
        await session.resume(accepted.run_id, budget=20)
        report = (await ended(session, accepted.run_id)).report.model_dump()
    assert_complete(report, await made.loaded(), review_ids(RECORDS))
    assert model.calls == report["calls"]["made"] == 3 * RECORDS
    assert report["cost"]["total"] == pytest.approx(spent(model), abs=1e-9)


@pytest.mark.parametrize("model_name", ["openai:gpt-4o-mini", "anthropic:claude-haiku-4-5", "google:gemini-2.5-flash"])
async def test_each_protocol_has_tools(here, model, model_name):
    base_url = {"anthropic": model.root_url, "google": f"{model.root_url}/v1beta"}.get(
        model_name.partition(":")[0], model.base_url
    )
    transform = {**ai(base_url, tools=["transforms:known"], api_key="${KEY}"), "model": model_name}
    made = project(here.folder, 2, transform=transform, destination="out.csv", code=CODE)
    (here.folder / ".env").write_text("KEY=k")
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        report = (await ended(session, accepted.run_id)).report.model_dump()
    assert_complete(report, await made.loaded(), review_ids(2))
    assert (model.calls, len(looked_up(made))) == (4, 2)
    assert "is known" in str(model.bodies[-1])


def looked_up(made: Project) -> list[str]:
    return made.path("looked_up.txt").read_text(encoding="utf-8").splitlines()
