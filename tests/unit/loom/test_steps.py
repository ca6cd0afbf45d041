"""Tests that what the command line does with a transform, it does with each step of one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loom.benchmarks.benchmark import _see_evaluators
from loom.benchmarks.running.candidates import candidates
from loom.preflight.model_calls import model_checks
from loom.project.config import LoomConfig
from loom.rescoring.plans import of_outputs
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError

ASK = {"type": "ai", "model": "openai:gpt-4o-mini", "prompt": "Say {{ input.id }}"}

JUDGE = {"name": "fine", "type": "custom_criteria", "criteria": "It is fine.", "threshold": 0.5}
LENGTH = {"name": "short", "type": "length", "field": "a", "max": 9, "threshold": 1.0}


def pipeline(*steps, **sections):
    named = [{**step, "name": name, "output": {name: "string"}} for name, step in zip("abc", steps, strict=False)]
    extract, load = {"source": "in.csv", "key": "id"}, {"destination": "out.csv"}
    return parse({"name": "stepped", "extract": extract, "transform": {"steps": named}, "load": load, **sections})


def test_an_option_that_the_protocol_of_a_step_s_provider_lacks_is_told_once_for_each_step():
    claude = {**ASK, "model": "anthropic:claude-haiku-4-5", "logprobs": {"into": "sure"}}
    found = model_checks.check(pipeline({**ASK, "seed": 1}, {**claude, "logprobs": None, "seed": 2}, claude))
    assert [each.detail.split(" Leave")[0] for each in found] == [
        "anthropic:claude-haiku-4-5: Loom's protocol for anthropic has no `seed`.",
        "anthropic:claude-haiku-4-5: Loom's protocol for anthropic has no `logprobs`.",
    ]
    judging = {"model": "anthropic:claude-haiku-4-5", "seed": 1, "evaluators": [JUDGE]}
    found = model_checks.check(pipeline(ASK, ASK, evaluate=judging))
    assert sum("has no `seed`" in each.detail for each in found) == 1


def test_outputs_are_had_once_more_with_the_troubles_of_a_record_its_own():
    critical = {"type": "python", "function": "code:made", "criticality": "critical"}
    skipping = {**ASK, "on_failure": "skip", "cache": {"ttl": "1d"}}
    again = {**ASK, "on_failure": "retry"}
    steps = of_outputs(Plan(pipeline=pipeline(critical, skipping, again))).pipeline.transform.steps
    assert [(step.criticality, step.on_failure) for step in steps] == [
        ("required", "quarantine"),
        ("required", "quarantine"),
        ("required", "retry"),
    ]
    assert steps[1].cache.max_age is None


def test_scoring_for_a_bench_never_asks_the_model_of_a_step():
    made = pipeline({"type": "python", "function": "code:made"}, ASK, evaluate={"evaluators": [LENGTH]})
    with pytest.raises(ConfigurationError, match="asks a model"):
        _see_evaluators(SimpleNamespace(pipeline=made), SimpleNamespace(evaluators=(), outputs=None))


def test_a_bench_compares_models_of_a_transform_that_is_one_step():
    with pytest.raises(ConfigurationError, match="files of their own"):
        candidates([SimpleNamespace(pipeline=pipeline(ASK))], ["openai:gpt-4o"], [], LoomConfig())
