"""Tests that a mistake is told in words that need no knowledge of pydantic."""

import re
from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition
from loom_common.expectations import expectation

WHOLE = {
    "name": "p",
    "extract": {"source": "data.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "out.csv"},
}


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("extract", "batch_size", "many", "a whole number"),
        ("extract", "batch_size", 1.5, "a whole number"),
        ("extract", "batch_size", 0, "at least 1"),
        ("extract", "batch_size", 10**9, "at most 10000"),
        ("extract", "max_failure_rate", "half", "a number"),
        ("extract", "max_failure_rate", 2, "at most 1"),
        ("extract", "source", 1, "a text"),
        ("extract", "options", "csv", "keys and values"),
        ("load", "allow_empty", "perhaps", "true or false"),
        ("load", "include", "review", "a list"),
    ],
)
def test_what_is_expected_is_told_in_plain_words(section, key, value, expected):
    with pytest.raises(InvalidDefinition) as raised:
        parse({**WHOLE, section: {**WHOLE[section], key: value}})
    (problem,) = raised.value.problems
    assert problem.expected.startswith(expected)
    assert re.search(r"\bvalid\b|unable to|Input should", str(problem)) is None


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Annotated[str, Field(max_length=1)], ";;", "at most 1 character"),
        (Annotated[str, Field(min_length=2)], "", "at least 2 characters"),
        (Annotated[bytes, Field(max_length=2)], b"abc", "at most 2 bytes"),
        (Annotated[list[str], Field(min_length=1)], [], "at least 1 item"),
        (Annotated[list[str], Field(max_length=1)], ["a", "b"], "at most 1 item"),
        (Annotated[dict[str, str], Field(min_length=1)], {}, "at least 1 item"),
        (Annotated[str, Field(pattern="^a$")], "b", "a text that matches '^a$'"),
    ],
)
def test_a_size_or_a_pattern_is_told_without_the_type_that_has_it(kind, value, expected):
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind).validate_python(value)
    assert expectation(raised.value.errors()[0]["msg"]) == expected


def test_words_of_loom_stay_as_they_are():
    assert expectation("Value error, a path that stays in the project") == "a path that stays in the project"
