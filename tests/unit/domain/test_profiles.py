"""Tests which steps the profiles of a pipeline take."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.steps.profiles import ProfileConfig, profiled
from loom_common.errors import InvalidDefinition

STEPS = [
    {"name": "mood", "type": "scorer", "scorer": "vader", "field": "review", "on_failure": "skip"},
    {"name": "triage", "type": "router", "needs": "mood", "by": "sentiment", "routes": {"bad": "negative"},
     "otherwise": "rest"},
    {"name": "sorry", "type": "python", "function": "code:sorry", "needs": "triage.bad"},
    {"name": "size", "type": "python", "function": "code:size"},
    {"name": "letter", "type": "python", "function": "code:letter", "needs": ["sorry", "size"]},
]  # fmt: skip
DEFINITION = {
    "name": "stepped",
    "extract": {"source": "reviews.csv"},
    "transform": {"steps": STEPS},
    "load": {"destination": "out.csv"},
}


@pytest.mark.parametrize(
    ("profile", "taken", "added", "left_out"),
    [
        ({"steps": ["sorry"]}, ["mood", "triage", "sorry"], ("mood", "triage"), ()),
        ({"skip": ["triage"]}, ["mood", "size"], (), ("sorry", "letter")),
        ({"steps": ["size"], "skip": ["mood"]}, ["size"], (), ()),
        ({}, ["mood", "triage", "sorry", "size", "letter"], (), ()),
    ],
)
def test_a_profile_takes_what_its_steps_need_and_leaves_out_what_needs_skipped_ones(profile, taken, added, left_out):
    made = profiled(DEFINITION, ProfileConfig(**profile))
    assert [step["name"] for step in made.definition["transform"]["steps"]] == taken
    assert (made.added, made.left_out) == (added, left_out)
    parse(made.definition)


RULE = {"check": "ontology", "rule": "quantity_positive", "action": "fail"}


@pytest.mark.parametrize(
    ("ontology", "checks"), [("retail", [RULE]), ("base", []), (None, [])], ids=["the same", "another", "none"]
)
@pytest.mark.parametrize("written", ["retail", {"name": "retail", "columns": {"quantity": "n"}}])
def test_another_ontology_has_other_rules_and_the_same_one_keeps_its_own(written, ontology, checks):
    extract = {"source": "reviews.csv", "quality_checks": [RULE]}
    whole = {**DEFINITION, "ontology": written, "extract": extract}
    made = profiled(whole, ProfileConfig(ontology=ontology)).definition
    assert made["extract"]["quality_checks"] == checks
    assert made["ontology"] == (written if checks else ontology)


def test_a_profile_of_a_transform_without_steps_may_take_another_ontology():
    whole = {**DEFINITION, "transform": {"type": "passthrough"}, "profiles": {"bare": {"ontology": None}}}
    profile = parse(whole).profiles["bare"]
    made = profiled({**whole, "ontology": "retail"}, profile).definition
    assert (made["ontology"], "profiles" in made) == (None, False)


def test_with_fail_fast_the_first_failure_fails_the_run_whatever_a_step_says():
    made = parse(profiled(DEFINITION, ProfileConfig(fail_fast=True, parallel=False)).definition).transform
    assert (made.on_failure, made.steps[0].on_failure, made.parallel) == ("abort", "quarantine", False)
    assert "on_failure" not in made.steps[0].model_fields_set


@pytest.mark.parametrize(
    ("profiles", "transform", "words"),
    [
        ({"quick": {"steps": ["modo"]}}, None, "did you mean mood?"),
        ({"quick": {"steps": ["letter"], "skip": ["mood"]}}, None, "does not need mood"),
        ({"quick": {"steps": ["mood"]}}, {"type": "passthrough"}, "among which a profile selects"),
        ({"quick": {"skp": ["mood"]}}, None, "skip"),
    ],
)
def test_a_profile_of_what_is_not_there_is_a_mistake(profiles, transform, words):
    with pytest.raises(InvalidDefinition) as refused:
        parse({**DEFINITION, "transform": transform or DEFINITION["transform"], "profiles": profiles})
    assert words in str(refused.value)
