"""A run that a frozen schema would fail is refused before it costs anything."""

import pytest

from loom_common.domain.checks.frozen_schema import frozen_mistakes
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.schema.columns import Column
from loom_common.domain.schema.declared import declared

MOOD = {"mood": Column(type="string", format="email")}
ROW = {"id": Column(type="string"), **MOOD}


def plan(output, *, answers=None, rows=None, stored=MOOD, row=ROW):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv", "key": "id"},
        "transform": {"type": "ai", "prompt": "{{ input.text }}", "model": "m", "output": output, "schema": answers},
        "load": {"destination": "y.csv", "schema": rows},
    }
    return Plan(pipeline=parse(definition), schemas={"transform": stored, "load": row})


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (plan({"mood": "string"}, answers="manual", rows="manual"), []),
        (plan({"mood": "string", "why": "string"}), []),
        (plan({"mood": "string", "why": "string"}, answers="auto", rows="discard_value"), []),
        (plan({"mood": "string", "why": "string"}, answers="manual"), ["transform.schema: found the column 'why'"]),
        (plan({"mood": "string", "why": "string"}, rows="manual"), ["load.schema: found the column 'why'"]),
        (plan({"mood": "string"}, rows="manual", row=MOOD), ["load.schema: found the column 'id'"]),
        (plan({"mood": "integer"}, answers={"types": "freeze"}), ["found 'mood' declared as integer; expected string"]),
        (plan({"mood": "integer"}, answers={"columns": "freeze"}), []),
    ],
)  # fmt: skip
def test_a_declared_output_that_a_frozen_schema_does_not_take_is_told(made, words):
    found = [str(each) for each in frozen_mistakes(made)]
    assert len(found) == len(words), found
    assert all(word in said for word, said in zip(words, found, strict=True)), found


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ({"type": "string"}, Column(type="string")),
        ({"type": ["integer", "null"]}, Column(type="integer", nullable=True)),
        ({"type": ["integer", "number"]}, Column(type="number")),
        ({"type": ["integer", "string"]}, Column(type="any")),
        ({"enum": ["a", "b"]}, Column(type="string")),
        ({"enum": [1, 2.5, None]}, Column(type="number", nullable=True)),
        ({"description": "whatever"}, Column(type="any", nullable=True)),
        (True, Column(type="any", nullable=True)),
    ],
)
def test_a_declared_field_is_a_column(field, column):
    assert declared({"properties": {"a": field}, "required": ["a"]}) == {"a": column}


def test_a_field_that_is_not_required_may_be_null():
    assert declared({"properties": {"a": {"type": "object"}}}) == {"a": Column(type="object", nullable=True)}
    assert declared({"type": "object"}) is None
