"""Every mistake in a definition is reported at once, with what was found, what was expected and what was meant."""

import copy

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition

GOOD = {
    "name": "reviews",
    "extract": {"source": "reviews.csv", "key": "id"},
    "transform": {"type": "passthrough"},
    "evaluate": {"evaluators": [{"type": "range", "field": "score", "min": 0, "max": 1, "threshold": 1}]},
    "load": {"destination": "out.csv"},
}


def with_(path, value):
    definition = copy.deepcopy(GOOD)
    here = definition
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    return definition


def problems(definition):
    with pytest.raises(InvalidDefinition) as caught:
        parse(definition)
    return caught.value.problems


def test_a_good_definition_parses():
    assert parse(GOOD).evaluate.quality_gate.type == "all_pass"


@pytest.mark.parametrize(
    ("path", "value", "key", "expected", "suggestion"),
    [
        (("extract", "batchsize"), 10, "extract.batchsize", "one of batch_size", "batch_size"),
        (("transform", "type"), "passthru", "transform.type", "one of ai, scorer, python, passthrough", "passthrough"),
        (("transform", "type"), "ai", "transform", "`prompt` and `model`", None),
        (("transform", "model"), "gpt-4o", "transform.model", "no `model` in a transform of type passthrough", None),
        (("load", "mode"), "upsert", "load", "`key`, which mode upsert needs", None),
        (("name",), "My Pipeline", "name", "lower case letters", None),
        (("evaluate", "quality_gate"), {"type": "weighted"}, "evaluate.quality_gate", "`threshold`", None),
        (
            ("evaluate", "evaluators", 0, "threshold"),
            1.5,
            "evaluate.evaluators[0].threshold",
            "less than or equal",
            None,
        ),
        (("evaluate", "evaluators", 0, "type"), "rnage", "evaluate.evaluators[0].type", "one of exact_match", "range"),
        (("load", "destination"), "postgres://u:secret@h/db", "load.destination", "credential reference", None),
        (("transform", "output"), {"a": "strnig"}, "transform.output.a", "one of string, number", None),
    ],
)
def test_a_mistake_is_named_with_what_was_expected(path, value, key, expected, suggestion):
    (problem,) = problems(with_(path, value))
    assert problem.key == key
    assert expected in problem.expected
    assert problem.suggestion == suggestion


def test_all_mistakes_are_reported_together():
    definition = copy.deepcopy(GOOD)
    del definition["load"]
    definition["extract"]["batch_size"] = 0
    definition["versoin"] = "1"
    assert {problem.key for problem in problems(definition)} == {"load", "extract.batch_size", "versoin"}


def test_no_problem_shows_a_password():
    (problem,) = problems(with_(("extract", "source"), "postgres://u:hunter2@h/db"))
    assert "hunter2" not in str(problem)


def test_a_credential_reference_is_no_password():
    assert parse(with_(("extract", "source"), "postgres://${USER}:${PASSWORD}@h/db"))


def test_two_evaluators_need_two_names():
    twice = [{"type": "length", "threshold": 1}, {"type": "length", "threshold": 1}]
    (problem,) = problems(with_(("evaluate", "evaluators"), twice))
    assert "length stands twice" in problem.expected


def test_a_threshold_may_be_left_out_only_under_a_weighted_gate():
    bare = [{"type": "length", "name": "short"}]
    (problem,) = problems(with_(("evaluate", "evaluators"), bare))
    assert "a `threshold` for short" in problem.expected
    definition = with_(("evaluate", "evaluators"), bare)
    definition["evaluate"]["quality_gate"] = {"type": "weighted", "threshold": 0.5}
    assert parse(definition)
