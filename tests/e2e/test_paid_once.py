"""Within a run no question is paid for twice, whether or not answers of other runs may be used."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from loom.session import open_session
from support.books import assert_balanced
from support.clients import ended, request_of
from support.places import Place, spent
from support.projects import Project, ai, project
from support.simulated_model import SimulatedModel

QUESTIONS, RECORDS = 20, 200
PROMPT = "What is the mood of {{ input.review }}?"
JUDGE = {"type": "custom_criteria", "criteria": "Fits", "field": "mood", "threshold": 0.0}
NO_REUSE = pytest.mark.parametrize(
    ("reuse", "cache"), [(False, {}), (True, {"enabled": False})], ids=["--no-cache", "cache-disabled"]
)


def alike(place: Place, name: str, model: SimulatedModel, **transform) -> Project:
    """Return two hundred records that ask twenty questions, each ten times in different batches."""
    rows = [
        {"id": f"r{number:03}", "review": f"Review {number % QUESTIONS}.", "stars": "1"} for number in range(RECORDS)
    ]
    return project(
        place.folder / name,
        rows,
        name=name,
        transform=ai(model.base_url, prompt=PROMPT, **transform),
        extract={"batch_size": 10},
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "out.csv",
    )


def asked(model: SimulatedModel) -> Counter[str]:
    """Tell how often each question was asked, alone or among others."""
    found: Counter[str] = Counter()
    for body in model.bodies:
        found.update(re.findall(r"Review \d+\.", body["messages"][-1]["content"]))
    return found


def once_each() -> Counter[str]:
    return Counter(f"Review {number}." for number in range(QUESTIONS))


async def report_of_run(place: Place, made: Project, *, reuse: bool) -> dict:
    async with open_session(place.config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, place.config).model_copy(update={"reuse": reuse}))
        report = (await ended(session, accepted.run_id)).report.model_dump()
    assert_balanced(report)
    return report


@NO_REUSE
async def test_a_question_of_many_records_is_one_call_without_reuse(here, model, reuse, cache):
    await a_question_is_one_call(here, model, "alone", reuse=reuse, cache=cache)


@NO_REUSE
async def test_so_it_is_on_rabbitmq_with_four_transformers(fleet, model, reuse, cache):
    await a_question_is_one_call(fleet, model, f"alone{reuse:d}", reuse=reuse, cache=cache)


async def a_question_is_one_call(place: Place, model: SimulatedModel, name: str, *, reuse: bool, cache: dict) -> None:
    made = alike(place, name, model, cache=cache)
    model.latency = 0.1
    report = await report_of_run(place, made, reuse=reuse)
    assert asked(model) == once_each()
    assert report["calls"] == {"made": QUESTIONS, "from_cache": RECORDS - QUESTIONS}
    assert report["cost"]["total"] == pytest.approx(spent(model), abs=1e-9)
    await report_of_run(place, made, reuse=reuse)
    assert asked(model) == once_each() + once_each()  # nothing of the first run was taken


@pytest.mark.parametrize("enabled", [True, False])
async def test_questions_that_share_calls_are_each_asked_once(here, model, enabled):
    await shared_questions_are_asked_once(here, model, "shared", enabled=enabled)


@pytest.mark.parametrize("enabled", [True, False])
async def test_so_they_are_on_rabbitmq_with_four_transformers(fleet, model, enabled):
    await shared_questions_are_asked_once(fleet, model, f"shared{enabled:d}", enabled=enabled)


async def shared_questions_are_asked_once(place: Place, model: SimulatedModel, name: str, *, enabled: bool) -> None:
    made = alike(place, name, model, records_per_call=4, cache={"enabled": enabled})
    model.latency = 0.1
    report = await report_of_run(place, made, reuse=True)
    assert asked(model) == once_each()
    assert report["records"]["loaded"] == RECORDS
    assert report["calls"]["made"] == model.calls
    assert report["cost"]["total"] == pytest.approx(spent(model), abs=1e-9)


@NO_REUSE
async def test_judges_ask_each_question_once_without_reuse(here, judge, reuse, cache):
    await judges_ask_once(here, judge, "judged", reuse=reuse, cache=cache)


@NO_REUSE
async def test_so_they_do_on_rabbitmq_with_two_evaluators(fleet, judge, reuse, cache):
    await judges_ask_once(fleet, judge, f"judged{reuse:d}", reuse=reuse, cache=cache)


async def judges_ask_once(place: Place, judge: SimulatedModel, name: str, *, reuse: bool, cache: dict) -> None:
    made = alike(place, name, judge)
    judges = [JUDGE, {**JUDGE, "name": "other", "criteria": "Is kind"}]
    made.say(
        transform={"type": "python", "function": "transforms:same"},
        evaluate={"model": "gpt-4o", "base_url": judge.base_url, "evaluators": judges, "cache": cache},
    )
    made.path("transforms.py").write_text("def same(record):\n    return {'mood': record['review']}\n")
    judge.latency = 0.1
    report = await report_of_run(place, made, reuse=reuse)
    assert judge.calls == report["calls"]["made"] == 2 * QUESTIONS


async def test_a_replay_pays_for_each_question_of_its_own_once(here, model):
    made = alike(here, "kept", model, cache={"enabled": False})
    made.say(evaluate={"evaluators": [{"type": "range", "field": "confidence", "min": 2, "max": 3, "threshold": 1.0}]})
    report = await report_of_run(here, made, reuse=True)
    assert report["records"]["rejected"] == RECORDS
    async with open_session(here.config, cluster=False) as session:
        again = await session.replay(report["run_id"], None)
        replayed = (await ended(session, again.run_id)).report
    assert asked(model) == once_each() + once_each()
    assert replayed.calls["made"] == QUESTIONS
