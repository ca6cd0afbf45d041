"""Tests that what a run would cost is estimated by the real transform and the real evaluators, without a model."""

from __future__ import annotations

import pytest

from loom.preflight import estimate as preflight_estimate
from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from support.projects import ai, project

NOWHERE = "http://127.0.0.1:9/v1"
JUDGES = {
    "model": "gpt-4o",
    "base_url": NOWHERE,
    "evaluators": [
        {"type": "semantic", "field": "mood", "reference_field": "review", "threshold": 0.4},
        {"type": "custom_criteria", "field": "mood", "criteria": "Kind", "reference_field": "review", "threshold": 0.4},
    ],
}


async def estimated(tmp_path, records=40, sample=10, answered=None, **settings):
    made = project(tmp_path, records, **settings)
    return await preflight_estimate.estimate(load(made.pipeline), LoomConfig(), sample, answered=answered)


async def test_transform_and_evaluation_are_priced_apart_and_scaled_to_all_records(tmp_path):
    made = await estimated(tmp_path, transform=ai(NOWHERE), evaluate=JUDGES)
    assert (made.records, made.sampled) == (40, 10)
    assert [(each.stage, each.model, each.made) for each in made.calls] == [
        ("transform", "gpt-4o-mini", 40), ("evaluate", "gpt-4o", 80),
    ]  # fmt: skip
    assert made.cost_of(Stage.EVALUATE) > made.cost_of(Stage.TRANSFORM) > 0
    assert made.cost == pytest.approx(made.cost_of(Stage.EVALUATE) + made.cost_of(Stage.TRANSFORM))


async def test_answers_are_as_long_as_in_earlier_runs(tmp_path):
    made = await estimated(tmp_path, transform=ai(NOWHERE), answered={("transform", "gpt-4o-mini"): 1000.0})
    assert made.calls[0].tokens_out == 40_000


async def test_a_source_that_does_not_know_how_many_records_it_has_is_counted(tmp_path):
    made = await estimated(tmp_path, records=30, sample=7, transform=ai(NOWHERE))
    assert (made.records, made.sampled) == (30, 7)


async def test_where_no_prompt_renders_it_says_why_and_estimates_nothing(tmp_path):
    transform = {**ai(NOWHERE), "prompt": "{{ input.review.words.first }}"}
    with pytest.raises(ConfigurationError, match=r"each of the first 10 records\. 10 x The prompt"):
        await estimated(tmp_path, transform=transform)


async def test_records_whose_prompt_does_not_render_are_told_beside_the_estimate(tmp_path):
    transform = {**ai(NOWHERE), "prompt": "{{ 1 / (input.id[-1] | int - 3) }}"}
    made = await estimated(tmp_path, transform=transform)
    (left_out,) = made.unasked
    assert (left_out.stage, left_out.records) == (Stage.TRANSFORM, 1)
    assert "cannot be rendered" in left_out.reason
    assert made.calls[0].made == 36
    assert made.document()["not_estimated"][0]["records"] == 1


async def test_what_asks_no_model_costs_nothing(tmp_path):
    made = await estimated(tmp_path)
    assert (made.calls, made.cost) == ((), 0)


@pytest.mark.parametrize(("budget", "fits"), [(0.05, True), (0.0001, False)])
async def test_a_budget_fits_where_it_bears_the_cost_and_the_last_call_whatever_max_tokens_are(tmp_path, budget, fits):
    made = project(tmp_path, 40, transform=ai(NOWHERE, max_tokens=32_000))
    made.say(monitoring={"cost_budget": budget})
    estimate = await preflight_estimate.estimate(load(made.pipeline), LoomConfig(), 10)
    told = estimate.document()
    assert told["fits_budget"] is fits
    assert estimate.cost < told["budget_needed"] < 2 * estimate.cost + 0.001
