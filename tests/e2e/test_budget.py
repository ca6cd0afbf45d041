"""Tests a budget that is never passed, however many share it."""

from __future__ import annotations

import json

import pytest

from loom.preflight import estimate as preflight_estimate
from loom.project.definition_file import load
from loom.session import open_session
from loom_ai.budget.prices import Prices, Tokens
from loom_common.contracts.v1 import RunFinished, RunProgress
from loom_common.flow import Exchange
from loom_common.ports.bus import Wire
from support.books import assert_complete
from support.clients import report_of, request_of
from support.places import Place, outcome, settled, spent, until
from support.projects import Project, ai, project, review_ids
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel

PER_CALL = 0.0000088
"""An amount in USD: what an average question of these tests and its answer cost, at 15 and 60 cents per million
tokens."""


async def test_a_budget_worth_fifty_calls_is_never_passed_and_resumed_every_record_is_paid_once(here, model):
    await budget_is_kept(here, model)


async def test_so_it_is_on_rabbitmq_with_four_transformers(fleet, model):
    await budget_is_kept(fleet, model)


async def budget_is_kept(place: Place, model: SimulatedModel) -> None:
    name = "budget"
    made = project(
        place.folder / name, 300, name=name, transform=ai(model.base_url, max_tokens=40), extract={"batch_size": 10},
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "out.csv",
    )  # fmt: skip
    budget = 50 * PER_CALL
    made.say(monitoring={"cost_budget": budget})
    model.latency = 0.01
    config = place.config
    async with open_session(config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, config))
        paused = await outcome(session, accepted.run_id)
        assert isinstance(paused, RunProgress)
        assert (paused.status, paused.reason) == ("paused", "budget_exhausted")
        assert "loom resume" in paused.notice
        await until(lambda: settled(config, accepted.run_id, model), value=True)
        first = await report_of(config, accepted.run_id)
        assert spent(model) <= budget
        assert 25 <= model.calls <= 55
        assert first["cost"]["total"] == pytest.approx(spent(model), abs=1e-9)
        assert first["budget"]["limit"] == budget

        await session.resume(accepted.run_id, budget=20)
        finished = await outcome(session, accepted.run_id)

    assert isinstance(finished, RunFinished)
    assert_complete(finished.report.model_dump(), await made.loaded(place.environ), review_ids(300))
    assert (model.calls, finished.report.calls["made"]) == (300, 300)
    assert finished.report.cost["total"] == pytest.approx(spent(model), abs=1e-9)
    assert finished.report.budget.limit == 20


@pytest.mark.parametrize("budget", [0.05, 0.1])
async def test_a_budget_that_covers_the_true_cost_lets_a_run_through_in_parallel_whatever_a_call_may_cost(
    here, model, budget
):
    await a_run_goes_through_at_full_speed(here, model, "roomy", budget)


async def test_so_it_does_on_rabbitmq_with_four_transformers(fleet, model):
    await a_run_goes_through_at_full_speed(fleet, model, "roomy", 0.05)


async def a_run_goes_through_at_full_speed(place: Place, model: SimulatedModel, name: str, budget: float) -> None:
    """Ask three hundred calls that cost $0.009 together, each of which might cost $0.32."""
    made = project(
        place.folder / name, 300, name=name, extract={"batch_size": 20},
        transform=ai(model.base_url, model="gpt-4o", max_tokens=32_000),
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "out.csv",
    )  # fmt: skip
    model.tokens_per_answer = 2
    made.say(monitoring={"cost_budget": budget})
    model.latency = 0.3
    async with open_session(place.config, cluster=place.clustered) as session:
        finished = await outcome(session, (await session.start(request_of(made, place.config))).run_id)
    assert isinstance(finished, RunFinished), finished.notice
    assert_complete(finished.report.model_dump(), await made.loaded(place.environ), review_ids(300))
    print(f"${spent(model, 'gpt-4o'):.4f} of ${budget}, {model.calls} calls, {model.most_at_once} at once")
    assert model.calls == 300
    assert model.most_at_once >= 32
    assert spent(model, "gpt-4o") == pytest.approx(finished.report.cost["total"], abs=1e-9)


JUDGES = [
    {"type": "semantic", "field": "mood", "reference_field": "review", "threshold": 0.0},
    {"type": "custom_criteria", "criteria": "Fits", "field": "mood", "reference_field": "review", "threshold": 0.0},
]


def judged(place: Place, name: str, records: int, model: SimulatedModel, judge: SimulatedModel) -> Project:
    """Return a transform by a cheap model, and two judgements by a dear one."""
    return project(
        place.folder / name, records, name=name, transform=ai(model.base_url, max_tokens=8_000),
        evaluate={"model": "gpt-4o", "base_url": judge.base_url, "evaluators": JUDGES}, extract={"batch_size": 5},
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "out.csv",
    )  # fmt: skip


async def test_what_the_estimate_says_a_run_needs_lets_it_through(here, model, judge):
    made = judged(here, "estimated", 80, model, judge)
    estimate = await preflight_estimate.estimate(load(made.pipeline), here.config, 20)
    made.say(monitoring={"cost_budget": 1.3 * estimate.enough})  # an estimate may be off by a fifth
    async with open_session(here.config, cluster=False) as session:
        finished = await outcome(session, (await session.start(request_of(made, here.config))).run_id)
    assert isinstance(finished, RunFinished), finished.notice
    paid = spent(model) + spent(judge, "gpt-4o")
    print(f"${paid:.4f} paid, ${estimate.cost:.4f} estimated, ${estimate.enough:.4f} said to be needed")
    assert (model.calls, judge.calls) == (80, 160)
    assert finished.report.cost["total"] == pytest.approx(paid, abs=1e-9)


async def test_no_money_is_spent_on_what_cannot_be_judged(here, model, judge):
    await what_is_paid_for_is_judged(here, model, judge)


async def test_nor_is_it_on_rabbitmq_with_four_transformers(fleet, model, judge):
    await what_is_paid_for_is_judged(fleet, model, judge)


async def what_is_paid_for_is_judged(place: Place, model: SimulatedModel, judge: SimulatedModel) -> None:
    """Give a budget that covers a third of the records, most of it for judges."""
    made = judged(place, "owed", 150, model, judge)
    made.say(monitoring={"cost_budget": 0.16})
    model.latency = judge.latency = 0.05
    async with open_session(place.config, cluster=place.clustered) as session:
        accepted = await session.start(request_of(made, place.config))
        paused = await outcome(session, accepted.run_id)
        assert isinstance(paused, RunProgress)
        assert (paused.status, paused.reason) == ("paused", "budget_exhausted")
        await until(lambda: settled(place.config, accepted.run_id, model, judge), value=True)
        paid = spent(model) + spent(judge, "gpt-4o")
        print(f"${paid:.4f} paid, {model.calls} transforms, {judge.calls} judgements; {paused.notice}")
        assert paid <= 0.16
        assert model.calls < 100
        await session.resume(accepted.run_id, budget=20)
        finished = await outcome(session, accepted.run_id)
    assert isinstance(finished, RunFinished)
    assert (model.calls, judge.calls) == (150, 300)


@pytest.mark.parametrize(
    "transform",
    [{"fallback": ["gpt-4o"]}, {"records_per_call": 4}, {"max_tokens": None}, {"max_tokens": 60_000}],
    ids=["fallback", "records-per-call", "no-limit", "large-limit"],
)
async def test_repairs_fallbacks_shared_calls_and_cut_off_answers_stay_within_the_budget(here, model, transform):
    model.rates = {"bad_json": 0.2, "truncated": 0.1, "refused": 0.05}
    budget = 50 * PER_CALL
    made = project(here.folder, 200, transform=ai(model.base_url, **{"max_tokens": 60, **transform}))
    made.say(monitoring={"cost_budget": budget}, extract={**made.definition["extract"], "batch_size": 10})
    async with open_session(here.config, cluster=False) as session:
        paused = await outcome(session, (await session.start(request_of(made, here.config))).run_id)
    assert isinstance(paused, RunProgress)
    paid = sum(
        Prices().quote(call_of(model=name), Tokens(given=given, answered=answered)).usd
        for name, (given, answered) in model.used.items()
    )
    print(f"${paid:.6f} of ${budget:.6f}, {model.calls} calls")
    assert paid <= budget


async def test_a_budget_may_be_raised_by_message(here, tmp_path, model):
    config = here.config
    made = project(tmp_path, 60, transform=ai(model.base_url, max_tokens=40), extract={"batch_size": 10})
    made.say(monitoring={"cost_budget": 10 * PER_CALL})
    async with open_session(config, cluster=False) as session:
        accepted = await session.start(request_of(made, config))
        assert (await outcome(session, accepted.run_id)).status == "paused"
        body = json.dumps({"run_id": accepted.run_id, "budget": 1.0}).encode()
        await session._bus.publish([Wire(Exchange.RUNS, "run.resume", body, type="", message_id="", correlation_id="")])
        assert isinstance(await outcome(session, accepted.run_id), RunFinished)
    assert model.calls == 60


def test_a_model_without_a_price_is_said_and_stands_in_the_way_of_a_budget_only(loom, tmp_path):
    made = project(tmp_path, 3, transform=ai("http://127.0.0.1:9/v1", model="our-own-7b"))
    told = loom("validate", "pipeline.yaml")
    assert (told.code, "no price is known for our-own-7b: their calls count as $0" in told.words) == (0, True)
    made.say(monitoring={"cost_budget": 1})
    told = loom("validate", "pipeline.yaml")
    assert (told.code, "cost_budget cannot be kept" in told.words) == (2, True)
    assert loom("run", "pipeline.yaml").code == 2
    (tmp_path / "loom.yaml").write_text("prices:\n  our-own-7b: {input: 1.0, output: 2.0}\n")
    told = loom("validate", "pipeline.yaml")
    assert (told.code, "our-own-7b $1 in, $2 out per million tokens" in told.words) == (0, True)
