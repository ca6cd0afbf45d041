"""Tests which values JSON gives back as they are."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.json_values.exactly_json import is_exactly_json

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_json_values_come_back_as_they_are(value):
    assert is_exactly_json(value)
    assert json.loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    "value", ["\ud800", ["a\udfff"], {"\ud800": 1}, {1: 2}, (1,), float("inf"), {"at": float("nan")}, Decimal(1), b"x"]
)
def test_others_do_not(value):
    assert not is_exactly_json(value)


def test_neither_does_what_is_nested_without_end():
    value: list[object] = []
    value.append(value)
    assert not is_exactly_json(value)
