"""What a schema declares an integer is one, however it was written."""

from __future__ import annotations

import json

import pytest

from loom_common.domain.json_values.whole_numbers import whole_numbers
from loom_common.domain.schema.output import json_schema


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"a": "integer"}, '{"a": 1.0}', '{"a": 1}'),
        ({"a": "integer?"}, '{"a": 1e3}', '{"a": 1000}'),
        ({"a": "integer?"}, '{"a": null}', '{"a": null}'),
        ({"a": ["integer"]}, '{"a": [1.0, 2]}', '{"a": [1, 2]}'),
        ({"a": {"b": "integer"}}, '{"a": {"b": -2.0}, "c": 1.0}', '{"a": {"b": -2}, "c": 1.0}'),
        ({"a": {"type": "integer", "minimum": 0}, "x": "number"}, '{"a": 1.0, "x": 1.0}', '{"a": 1, "x": 1.0}'),
        ({"a": {"type": ["integer", "number"]}, "b": "integer"}, '{"a": 1.0, "b": 1}', '{"a": 1.0, "b": 1}'),
        ({"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, '{"a": 1.0}', '{"a": 1}'),
        ({"a": {"anyOf": [{"type": "integer"}, {"type": "number"}]}, "b": "integer"}, '{"a": 1.0}', '{"a": 1.0}'),
        (
            {"$schema": "", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}},
            '{"a": 1.0}',
            '{"a": 1}',
        ),
        ({"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}, '{"z": 1.0}', '{"z": 1}'),
    ],
)
def test_a_declared_integer_is_an_integer(spec, value, expected):
    turn = whole_numbers(json_schema(spec))
    assert turn is not None
    assert json.dumps(turn(json.loads(value))) == expected


def test_without_a_declared_integer_nothing_is_looked_at():
    assert whole_numbers(json_schema({"a": "number", "b": ["string"], "c": {"d": "boolean"}})) is None


def test_a_schema_that_refers_to_itself_is_read():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}}
    turn = whole_numbers(schema)
    assert turn is not None
    assert json.dumps(turn({"n": 1.0})) == '{"n": 1}'
