"""Tests what `execution: batch` is refused beside: each with its key and the reason, before anything runs."""

from __future__ import annotations

import pytest

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition

ASK = {"type": "ai", "model": "gpt-4o", "prompt": "Say {{ input.text }}", "output": {"mood": "string"}}
JUDGE = {"type": "custom_criteria", "criteria": "Kind", "threshold": 0.5}
CHEAP = {"cheap": "gpt-4o-mini", "confidence": {"samples": 3}, "threshold": 0.9}
REFUSED = {
    "several records in a call": ({"records_per_call": 5}, "transform.records_per_call", "one record"),
    "attachments": ({"attachments": [{"image": "{{ input.photo }}"}]}, "transform.attachments", "is text"),
    "a cheap model": ({"cascade": CHEAP}, "transform.cascade.cheap", "each tier would wait"),
}


def definition(**transform):
    return {
        "name": "reviews",
        "extract": {"source": "reviews.csv", "key": "id"},
        "transform": {**ASK, "execution": "batch", **transform},
        "load": {"destination": "out.csv"},
    }


def told(written) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as refused:
        parse(written)
    return {each.key: each.expected for each in refused.value.problems}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_wait_for_a_batch_is_refused_with_its_reason(case):
    keys, at, words = REFUSED[case]
    problems = told(definition(**keys))
    assert words in problems[at]
    assert "execution: batch" in problems[at]
    assert set(problems) == {at}


@pytest.mark.parametrize("section", ["transform", "evaluate"])
def test_sensitive_fields_are_refused_beside_batches_of_either_section(section):
    written = definition() | {"sensitive": ["text"]}
    if section == "evaluate":
        written["transform"].pop("execution")
        written["evaluate"] = {"model": "gpt-4o", "execution": "batch", "evaluators": [JUDGE]}
    problems = told(written)
    assert problems == {f"{section}.execution": problems[f"{section}.execution"]}
    assert "is not encrypted" in problems[f"{section}.execution"]


def test_tools_samples_and_refinement_go_with_batches():
    more = {"tools": ["code:known"], "n": 3, "temperature": 0.8, "gleaning": {"validation_prompt": "Is it right?"}}
    pipeline: Pipeline = parse(definition(**more))
    assert pipeline.transform.execution.batch_deadline == 86_400
