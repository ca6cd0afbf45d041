"""Tests what a pipeline file may say of evaluators that ask a model, and what it is told where it is wrong."""

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.model_options.providers import ProviderConfig
from loom_common.errors import InvalidDefinition

SEMANTIC = {"type": "semantic", "reference_field": "expected", "threshold": 0.8}


def pipeline(*evaluators, **section):
    return {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "passthrough"},
        "evaluate": {"evaluators": list(evaluators), **section},
        "load": {"destination": "y.csv"},
    }


@pytest.mark.parametrize(
    ("evaluator", "section", "endpoint"),
    [
        ({}, {"model": "a"}, ("a", None, None)),
        ({}, {"model": "a", "base_url": "http://h/v1", "api_key": "${K}"}, ("a", "http://h/v1", "${K}")),
        ({"model": "b"}, {"model": "a", "base_url": "http://h/v1", "api_key": "${K}"}, ("b", "http://h/v1", "${K}")),
        (
            {"model": "anthropic:c"},
            {"model": "a", "base_url": "http://h/v1", "api_key": "${K}"},
            ("anthropic:c", None, None),
        ),
        ({"model": "mine:c"}, {"model": "mine:a", "base_url": "http://h/v1"}, ("mine:c", "http://h/v1", None)),
        ({"model": "mine:c"}, {"model": "a", "base_url": "http://h/v1"}, ("mine:c", None, None)),
        ({"base_url": "http://i/v1"}, {"model": "a", "api_key": "${K}"}, ("a", "http://i/v1", None)),
        (
            {"base_url": "http://i/v1", "api_key": "${L}"},
            {"model": "a", "api_key": "${K}"},
            ("a", "http://i/v1", "${L}"),
        ),
    ],
)
def test_an_evaluator_is_asked_where_it_says_or_where_its_section_says(evaluator, section, endpoint):
    evaluate = parse(pipeline({**SEMANTIC, **evaluator}, **section)).evaluate
    mine = {"mine": ProviderConfig(base_url="http://mine/v1")}
    assert evaluate.endpoint_settings(evaluate.evaluators[0], mine) == endpoint


@pytest.mark.parametrize(
    ("evaluator", "section", "words"),
    [
        (SEMANTIC, {}, "`evaluate.model`, or a `model` for semantic"),
        ({"type": "semantic", "threshold": 0.8}, {"model": "a"}, "a value for `reference_field`"),
        ({"type": "custom_criteria", "threshold": 0.8}, {"model": "a"}, "a value for `criteria`"),
        ({"type": "custom_criteria", "criteria": [], "threshold": 0.8}, {"model": "a"}, "at least 1"),
        (
            {"type": "factuality", "source_field": "s", "criteria": "dates", "threshold": 0.8},
            {"model": "a"},
            "no `criteria` beside `source_field`",
        ),
        (
            {"type": "pairwise", "threshold": 0.5},
            {"model": "a"},
            "one of `baseline_field` and `baseline: previous_run`",
        ),
        (
            {"type": "pairwise", "threshold": 0.5, "baseline": "last_run"},
            {"model": "a"},
            "`previous_run`, or the id of a run",
        ),
        ({**SEMANTIC, "api_key": "sk-123"}, {"model": "a"}, "a credential reference"),
        ({**SEMANTIC, "type": "semantik"}, {"model": "a"}, "Did you mean 'semantic'?"),
        ({**SEMANTIC, "treshold": 0.8}, {"model": "a"}, "Did you mean 'threshold'?"),
        (SEMANTIC, {"model": "a", "sample": 0}, "more than 0"),
    ],
)
def test_a_mistake_is_told_with_what_was_expected(evaluator, section, words):
    with pytest.raises(InvalidDefinition) as raised:
        parse(pipeline(evaluator, **section))
    assert words in str(raised.value)
    assert "sk-123" not in str(raised.value)


def test_evaluators_of_one_type_are_told_apart_by_name():
    parse(pipeline(SEMANTIC, {**SEMANTIC, "name": "strict"}, model="a"))
    with pytest.raises(InvalidDefinition, match="semantic stands twice"):
        parse(pipeline(SEMANTIC, SEMANTIC, model="a"))
