"""A run that a frozen schema would fail is refused before it costs anything."""

import pytest

from loom_common.domain.checks.frozen_schema import frozen_mistakes
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.schema.columns import Column
from loom_common.domain.schema.declared import declared

MOOD = {"mood": Column(type="string", format="email")}
ROW = {"id": Column(type="string"), **MOOD}


def plan(output, *, read=None, answers=None, rows=None, source=None, stored=MOOD, row=ROW, beside=False):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv", "key": "id", "schema": read},
        "transform": {"type": "ai", "prompt": "{{ input.text }}", "model": "m", "output": output, "schema": answers},
        "load": {"destination": "y.csv", "schema": rows},
    }
    versions = {"extract": source, "transform": stored, "load": row}
    schemas = {stage: columns for stage, columns in versions.items() if columns is not None}
    return Plan(pipeline=parse(definition), schemas=schemas, beside=beside)


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
    ("made", "words"),
    [
        (plan({"mood": "string"}, answers="freeze", stored=None), []),
        (plan(None, answers="freeze", stored=None), ["transform.schema: found no stored version of the schema"]),
        (plan(None, answers={"tables": "freeze"}, stored=MOOD), []),
        (plan(None, answers="manual", stored=None), []),
        (plan(None, rows="freeze"), []),
        (plan(None, read="freeze"), ["extract.schema: found no stored version of the schema"]),
        (plan(None, read={"tables": "freeze"}, source=ROW), []),
        (plan(None, read="freeze", beside=True), []),
    ],
)  # fmt: skip
def test_a_frozen_contract_needs_a_version_that_is_stored(made, words):
    found = [str(each) for each in frozen_mistakes(made)]
    assert len(found) == len(words), found
    assert all(said.startswith(word) for word, said in zip(words, found, strict=True)), found
    assert all("`loom schema apply FILE" in said and "`tables: evolve`" in said for said in found)


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
