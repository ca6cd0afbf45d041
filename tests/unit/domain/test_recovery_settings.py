"""Tests what a pipeline file says about failing and about time."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.durations import seconds
from loom_common.errors import InvalidDefinition

BARE = {
    "name": "reviews",
    "extract": {"source": "a.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "b.csv"},
}


def pipeline(**sections):
    return parse({**BARE, **sections})


def test_the_timeouts_have_their_defaults():
    timeouts = pipeline().timeouts
    named = {name: seconds(value) for name, value in timeouts}
    assert named == {
        "record": 120,
        "batch": 1800,
        "run": 3600,
        "extract": 900,
        "transform": 2700,
        "evaluate": 1800,
        "load": 900,
    }


def test_a_timeout_is_set_by_its_name():
    assert seconds(pipeline(timeouts={"record": "45s", "run": "2d"}).timeouts.run) == 172_800


@pytest.mark.parametrize("value", ["0s", "5", "5 minutes", 5, "-1s", ""])
def test_what_is_no_span_of_time_is_a_mistake(value):
    with pytest.raises(InvalidDefinition, match=r"timeouts\.record"):
        pipeline(timeouts={"record": value})


@pytest.mark.parametrize("stage", ["extract", "transform", "load"])
def test_each_stage_says_how_it_takes_failing(stage):
    settings = {"on_failure": "retry", "max_attempts": 5, "max_failures": 10, "max_failure_rate": 0.05}
    section = getattr(pipeline(**{stage: {**BARE[stage], **settings}}), stage)
    assert section.model_dump(include=set(settings)) == settings


@pytest.mark.parametrize("stage", ["transform", "load"])
def test_a_fallback_alone_says_what_a_failure_leads_to(stage):
    fallback = {"transform": {"value": {"mood": "unknown"}}, "load": "second.csv"}[stage]
    assert getattr(pipeline(**{stage: {**BARE[stage], "fallback": fallback}}), stage).on_failure == "fallback"


def test_a_source_has_nothing_to_fall_back_on():
    with pytest.raises(InvalidDefinition, match="one of quarantine, skip, retry, abort"):
        pipeline(extract={**BARE["extract"], "on_failure": "fallback"})


def test_only_models_are_fallen_back_on_by_a_transform_that_asks_one():
    with pytest.raises(InvalidDefinition, match="only a transform of type ai asks models"):
        pipeline(transform={"type": "passthrough", "fallback": ["gpt-4o"]})


def test_a_plan_with_all_of_it_travels():
    full = pipeline(
        transform={"type": "ai", "prompt": "p", "model": "m", "fallback": ["n"], "timeout": "65s", "max_failures": 3},
        load={"destination": "b.csv", "fallback": "c.csv", "max_failure_rate": 0.5},
        timeouts={"record": "30s"},
    )
    plan = Plan(pipeline=full)
    assert Plan.decoded(plan.encoded()) == plan
