"""Tests money that adds up: what runs paid for is what the model was asked for, to the call and the cent."""

from __future__ import annotations

import asyncio
import json

import pytest

from loom import Loom
from loom.session import open_session
from loom_dev.waiting import within
from support.books import assert_balanced, assert_complete
from support.clients import ended, report_of, request_of
from support.length import LONG
from support.places import Place, journalled, settled, spent, table, until
from support.projects import ai, project
from support.simulated_model import SimulatedModel, simulated_process

RECORDS = 2000 if LONG else 300
JUDGED = {"field": "mood", "reference_field": "review", "threshold": 0.4}


async def test_calls_tokens_and_cost_are_the_providers_to_the_call_and_the_cent(here, model, judge):
    await books_equal_the_providers(here, model, judge)


async def test_so_they_are_on_rabbitmq_with_four_transformers_and_two_evaluators(fleet, model, judge):
    await books_equal_the_providers(fleet, model, judge)


async def books_equal_the_providers(place: Place, model: SimulatedModel, judge: SimulatedModel) -> None:
    """Run a transform and two judges over all records, then all of it once more."""
    judges = [{"type": "semantic", **JUDGED}, {"type": "custom_criteria", "criteria": "Fits", **JUDGED}]
    made = project(
        place.folder / "paid",
        RECORDS,
        name="paid",
        transform=ai(model.base_url, max_tokens=40),
        evaluate={"model": "gpt-4o", "base_url": judge.base_url, "evaluators": judges},
    )
    config = place.config
    async with open_session(config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, config))
        report = (await ended(session, accepted.run_id)).report.model_dump()
        calls, usage = model.calls + judge.calls, spent(model) + spent(judge, "gpt-4o")
        again = (await ended(session, (await session.start(request_of(made, config))).run_id)).report.model_dump()

    assert_balanced(report)
    assert (report["records"]["extracted"], report["records"]["quarantined"]) == (RECORDS, 0)
    assert calls == report["calls"]["made"] == 3 * RECORDS
    lines = {line["stage"]: line for line in report["spending"]}
    assert {stage: (line["purpose"], line["model"], line["made"]) for stage, line in lines.items()} == {
        "transform": ("transform", "gpt-4o-mini", RECORDS),
        "evaluate": ("evaluate", "gpt-4o", 2 * RECORDS),
    }
    for stage, server in (("transform", model), ("evaluate", judge)):
        line = lines[stage]
        assert (line["tokens_in"], line["tokens_out"]) == (server.tokens_in, server.tokens_out)
        assert line["seconds"] > 0
    assert report["cost"]["total"] == pytest.approx(usage, abs=1e-9)
    assert sum(line["cost"] for line in lines.values()) == pytest.approx(usage, abs=1e-9)

    [day] = await table(place, "SELECT * FROM pipeline_costs WHERE pipeline_name = 'paid'")
    assert (day["total_runs"], day["total_records_processed"], day["calls"]) == (2, 2 * RECORDS, 3 * RECORDS)
    assert float(day["total_cost"]) == pytest.approx(usage, abs=1e-7)
    assert sum(json.loads(day["cost_by_model"]).values()) == pytest.approx(usage, abs=1e-9)

    assert model.calls + judge.calls == calls
    [today] = await Loom(place.folder / "loom.yaml").get_costs("paid")
    assert (today["made"], today["cost"]) == (calls, pytest.approx(usage, abs=1e-9))
    figures = await Loom(place.folder / "loom.yaml").get_metrics("paid")
    assert (figures.calls, figures.total_cost) == (calls, pytest.approx(usage, abs=1e-9))
    assert (len(figures.runs), figures.records["extracted"]) == (2, 2 * RECORDS)
    assert (again["calls"], again["cost"]["total"]) == ({"made": 0, "from_cache": 3 * RECORDS}, 0)


async def test_a_question_that_many_records_ask_is_paid_once(here, model):
    await a_hundred_questions_are_a_hundred_calls(here, model)


async def test_so_it_is_when_four_transformers_ask_it_at_the_same_time(fleet, model):
    await a_hundred_questions_are_a_hundred_calls(fleet, model)


async def a_hundred_questions_are_a_hundred_calls(place: Place, model: SimulatedModel) -> None:
    """Run a thousand records, each hundredth with the same text."""
    name = "alike"
    made = project(
        place.folder / name,
        ({"id": f"r{number:04}", "review": f"Review {number % 100}", "stars": "1"} for number in range(1000)),
        name=name,
        transform=ai(model.base_url, prompt="What is the mood of {{ input.review }}?"),
        extract={"batch_size": 50},
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "out.csv",
    )
    model.latency = 0.1
    async with open_session(place.config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, place.config))
        report = (await ended(session, accepted.run_id)).report.model_dump()

    assert_complete(report, await made.loaded(place.environ), [f"r{number:04}" for number in range(1000)])
    assert model.calls == 100
    assert report["calls"] == {"made": 100, "from_cache": 900}
    assert report["cost"]["total"] == pytest.approx(spent(model), abs=1e-9)


async def test_a_hostile_provider_is_paid_for_what_it_answered_repairs_and_fallbacks_apart(here, model, monkeypatch):
    monkeypatch.setenv("LOOM_MODELS_RETRY_DELAY", "0.01")
    model.rates = {"429": 0.05, "500": 0.02, "bad_json": 0.1, "truncated": 0.05}
    model.retry_after = 0.01
    made = project(here.folder, 200, transform=ai(model.base_url, fallback=["gpt-4o"]), extract={"batch_size": 20})
    async with open_session(here.config, cluster=False) as session:
        report = (await ended(session, (await session.start(request_of(made, here.config))).run_id)).report

    assert_balanced(report.model_dump())
    assert {line.purpose for line in report.spending} == {"transform", "repair", "fallback"}
    assert report.calls["made"] == model.answered < model.calls
    assert sum(line.tokens_in for line in report.spending) == model.tokens_in
    assert sum(line.tokens_out for line in report.spending) == model.tokens_out
    assert journalled(here, report.run_id) == (model.answered, pytest.approx(report.cost["total"]))


async def test_what_a_cancelled_run_had_paid_for_is_on_its_books(here, model):
    model.latency = 0.02
    made = project(here.folder, 1200, transform=ai(model.base_url), extract={"batch_size": 40})
    async with open_session(here.config, cluster=False) as session:
        accepted = await session.start(request_of(made, here.config))
        async with within(20):
            while model.calls < 60:
                await asyncio.sleep(0.005)
        await session.cancel(accepted.run_id)
        await until(lambda: settled(here.config, accepted.run_id, model), value=True)
    report = await report_of(here.config, accepted.run_id)
    assert report["status"] == "cancelled"
    assert 0 < model.answered < 1200
    assert journalled(here, accepted.run_id) == (model.answered, pytest.approx(report["cost"]["total"]))


def test_the_cost_commands_say_before_and_after_what_a_run_costs(loom, tmp_path):
    with simulated_process() as url:
        made = project(tmp_path, 40, transform=ai(url, max_tokens=40))
        made.say(monitoring={"cost_budget": 0.01})
        told = json.loads(loom("cost", "pipeline.yaml", "--estimate", "--sample", "10", "--format", "json").out)
        assert (told["records"], told["sampled"], told["unknown_prices"]) == (40, 10, [])
        assert told["calls"][0]["made"] == 40
        assert told["share_of_budget"] == pytest.approx(told["cost"]["total"] / 0.01)
        assert loom("run", "pipeline.yaml").code == 0
        shown = loom("cost", "pipeline.yaml", "--estimate").out
        assert "answers are taken to be as long as in earlier runs" in shown
    by_month = json.loads(loom("cost", "reviews", "--aggregate-by", "month", "--format", "json").out)
    assert (by_month["total"]["made"], by_month["total"]["records"], len(by_month["spans"])) == (40, 40, 1)
    [run] = json.loads(loom("history", "reviews", "--format", "json").out)
    detail = json.loads(loom("cost", "reviews", "--run-id", run["run_id"], "--format", "json").out)
    assert detail["cost"]["total"] == pytest.approx(by_month["total"]["cost"])
    assert detail["estimate"]["error"] == pytest.approx(detail["cost"]["total"] / told["cost"]["total"] - 1, rel=0.01)
    assert "a record cost" in loom("status", run["run_id"]).out
    assert "transform" in loom("cost", "reviews", "--run-id", run["run_id"]).out
