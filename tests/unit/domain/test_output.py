"""The short form of an output is a JSON Schema in fewer words."""

import jsonschema
import pytest

from loom_common.domain.schema.output import json_schema

SHORT = {
    "sentiment": {"enum": ["positive", "negative"]},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "topics": ["string"],
    "author": {"name": "string", "age": "integer?"},
}


def valid(output):
    return jsonschema.Draft202012Validator(json_schema(SHORT)).is_valid(output)


GOOD = {"sentiment": "positive", "confidence": 0.5, "topics": ["a"], "author": {"name": "n", "age": None}}


def test_an_output_of_that_shape_fits():
    assert valid(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"sentiment": "meh"},
        {"confidence": 2},
        {"confidence": "0.5"},
        {"topics": [1]},
        {"author": {"name": "n"}},
        {"extra": 1},
    ],
)
def test_any_other_shape_does_not(change):
    assert not valid({**GOOD, **change})


def test_a_full_schema_is_taken_as_it_is():
    full = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert json_schema(full) == full


def test_a_field_that_is_no_type_is_named():
    with pytest.raises(ValueError, match=r"author\.age: 'nubmer' is no type"):
        json_schema({"author": {"age": "nubmer"}})
