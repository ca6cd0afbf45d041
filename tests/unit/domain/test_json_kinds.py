"""Tests that messages name the kind of a JSON value by words that are nobody's programming language."""

import pytest

from loom_common.domain.json_values.kinds import kind_of


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "an object"),
        ([1], "a list"),
        ("x", "a text"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        (None, "null"),
        (b"x", "a value"),
    ],
)
def test_a_value_is_named_by_its_kind(value, words):
    assert kind_of(value) == words
