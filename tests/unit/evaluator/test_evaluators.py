"""Tests each evaluator: what it scores, what it explains, and what it cannot judge."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.evaluator_kinds import EvaluatorConfig
from loom_common.domain.definition.evaluators import JsonSchema
from loom_common.errors import PermanentError, RecordError
from loom_evaluator.evaluators.catalog import rule_of
from loom_evaluator.evaluators.json_schema import json_schema

CONFIG = TypeAdapter(EvaluatorConfig)


def record(output, **given):
    return TransformedRecord(id="1", input=given, output=output)


def opinion(settings, given, folder):
    return rule_of(CONFIG.validate_python(settings), folder)(given)


EXACT = {"type": "exact_match", "reference_field": "expected"}
LOOSE = {**EXACT, "case_sensitive": False}


@pytest.mark.parametrize(
    ("settings", "output", "given", "score", "explanation"),
    [
        (EXACT, {"label": "pos"}, {"expected": "pos"}, 1, None),
        (EXACT, {"label": "pos"}, {"expected": "neg"}, 0, "found 'pos', expected 'neg'"),
        (EXACT, {"label": "Pos"}, {"expected": "pos"}, 0, "found 'Pos', expected 'pos'"),
        (EXACT, {"label": "pos "}, {"expected": "pos"}, 0, "found 'pos ', expected 'pos'"),
        (LOOSE, {"label": "STRASSE"}, {"expected": "straße"}, 1, None),
        (EXACT, {"n": 5}, {"expected": "5"}, 1, None),
        (EXACT, {"n": 5}, {"expected": 5.0}, 1, None),
        (EXACT, {"n": True}, {"expected": "true"}, 1, None),
        (EXACT, {"n": True}, {"expected": 1}, 0, "found True, expected 1"),
        (EXACT, {"n": None}, {"expected": None}, 1, None),
        (EXACT, {"b": 1, "a": 2}, {"expected": '{"a": 2, "b": 1}'}, 1, None),
        ({**EXACT, "field": "b"}, {"a": "x", "b": "y"}, {"expected": "y"}, 1, None),
        ({"type": "contains", "values": ["Cat", "dog"]}, {"t": "a cat and a DOG"}, {}, 1, None),
        ({"type": "contains", "values": ["cat", "dog"]}, {"t": "a cat"}, {}, 0.5, "not found: 'dog'"),
        ({"type": "contains", "values": ["Cat"], "case_sensitive": True}, {"t": "a cat"}, {}, 0, "not found: 'Cat'"),
        ({"type": "contains", "reference_field": "w"}, {"t": "42 apples"}, {"w": 42}, 1, None),
        ({"type": "regex", "pattern": r"^\d+$"}, {"t": "123"}, {}, 1, None),
        ({"type": "regex", "pattern": r"^\d+$"}, {"t": "12a"}, {}, 0, r"no match for ^\d+$ in '12a'"),
        ({"type": "range", "min": 0, "max": 1}, {"n": 1}, {}, 1, None),
        ({"type": "range", "min": 0, "max": 1}, {"n": "0.5"}, {}, 1, None),
        ({"type": "range", "max": 1}, {"n": 1.01}, {}, 0, "1.01 is more than 1"),
        ({"type": "range", "max": 1}, {"n": 10**400}, {}, 0, "inf is more than 1"),
        ({"type": "range", "min": 0}, {"n": -(10**400)}, {}, 0, "-inf is less than 0"),
        ({"type": "range", "min": 3, "field": "n"}, {"n": 2, "m": 9}, {}, 0, "2 is less than 3"),
        ({"type": "length", "max": 3}, {"t": "äöü"}, {}, 1, None),
        ({"type": "length", "max": 3}, {"t": "four"}, {}, 0, "4 characters is more than 3"),
        ({"type": "length", "min": 2}, {"t": ["x"]}, {}, 0, "1 item is less than 2"),
    ],
)
def test_an_evaluator_scores_and_explains(settings, output, given, score, explanation, tmp_path):
    assert opinion(settings, record(output, **given), tmp_path)[:2] == (score, explanation)


@pytest.mark.parametrize(
    ("settings", "output", "words"),
    [
        ({**EXACT, "field": "lable"}, {"label": "x"}, "the output has no field 'lable'; its fields: label"),
        (EXACT, {"label": "x"}, "the input has no field 'expected'; its fields: none"),
        ({"type": "regex", "pattern": "x", "field": "t"}, {"t": None}, "the output field 't' is null; expected text"),
        ({"type": "range"}, {"a": 1, "b": 2}, "the output has a, b; name one as `field`"),
        ({"type": "range"}, {"a": "many"}, "'many' is no number"),
        ({"type": "range"}, {"a": True}, "True is no number"),
        ({"type": "length"}, {"a": None}, "the value is null and has no length"),
    ],
)
def test_what_it_cannot_judge_is_an_error_that_says_what_is_there(settings, output, words, tmp_path):
    with pytest.raises(RecordError) as raised:
        opinion(settings, record(output), tmp_path)
    assert (str(raised.value), raised.value.code) == (words, "evaluator_error")


SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def test_a_schema_is_held_against_the_whole_output(tmp_path):
    settings = {"type": "json_schema", "schema": SCHEMA}
    assert opinion(settings, record({"n": 1}), tmp_path).value == 1
    assert opinion(settings, record({"n": "1"}), tmp_path)[:2] == (0, "$.n: '1' is not of type 'integer'")


def test_a_schema_is_held_against_the_named_field(tmp_path):
    settings = {"type": "json_schema", "schema": {"type": "array"}, "field": "tags"}
    assert opinion(settings, record({"tags": [], "n": 1}), tmp_path).value == 1


def test_a_schema_that_refers_elsewhere_is_not_fetched(tmp_path):
    settings = {"type": "json_schema", "schema": {"$ref": "http://127.0.0.1:1/schema.json"}}
    with pytest.raises(RecordError, match="refers to what it does not hold"):
        opinion(settings, record({"n": 1}), tmp_path)


def test_what_is_no_schema_fails_before_the_first_record():
    with pytest.raises(ValidationError, match="a valid JSON Schema"):
        CONFIG.validate_python({"type": "json_schema", "schema": {"type": "strnig"}})
    unseen = JsonSchema.model_construct(name="schema", field=None, json_schema={"type": "strnig"})
    with pytest.raises(PermanentError, match="`schema` is no JSON Schema"):
        json_schema(unseen)


MODULE = """
def fixed(output, record):
    return output["give"]

def explained(output, record):
    return 0.5, "half of " + record["id"]

def mapping(output, record):
    return {"score": 0.25, "explanation": "a quarter"}

def empty(output, record):
    return {}

def spoils(output, record):
    output["give"] = "spoilt"
    record["id"] = "spoilt"
    return 1.0

async def later(output, record):
    return 0.75
"""


@pytest.fixture
def module(tmp_path):
    (tmp_path / "scoring.py").write_text(MODULE)
    return tmp_path


def python(name):
    return {"type": "python", "function": f"scoring:{name}"}


@pytest.mark.parametrize(
    ("name", "give", "expected"),
    [
        ("fixed", 1, (1.0, None)),
        ("fixed", True, (1.0, None)),
        ("fixed", 0.0, (0.0, None)),
        ("explained", 0, (0.5, "half of 7")),
        ("mapping", 0, (0.25, "a quarter")),
    ],
)
def test_a_function_scores(module, name, give, expected):
    assert opinion(python(name), record({"give": give}, id="7"), module)[:2] == expected


@pytest.mark.parametrize(
    ("name", "give", "words"),
    [
        ("fixed", 1.01, "the score is 1.01; expected a number from 0 to 1"),
        ("fixed", -0.1, "the score is -0.1; expected a number from 0 to 1"),
        ("fixed", math.nan, "the score is nan; expected a number from 0 to 1"),
        ("fixed", "0.5", "the score is '0.5'; expected a number from 0 to 1"),
        ("fixed", None, "the score is None; expected a number from 0 to 1"),
        ("empty", 0, "the function returned {}, which has no 'score'"),
        ("explained", 0, "the function raised KeyError: 'id'"),
    ],
)
def test_a_function_that_gives_no_score_is_an_error(module, name, give, words):
    with pytest.raises(RecordError) as raised:
        opinion(python(name), record({"give": give}), module)
    assert str(raised.value) == words


async def test_an_async_function_is_awaited(module):
    assert (await opinion(python("later"), record({"give": 1}), module))[:2] == (0.75, None)


def test_a_function_cannot_change_what_will_be_loaded(module):
    given = record({"give": 1}, id="7")
    assert opinion(python("spoils"), given, module).value == 1
    assert (given.output, given.input) == ({"give": 1}, {"id": "7"})
