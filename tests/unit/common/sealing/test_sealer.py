"""Tests which values of a record are sealed, and that opening is the reverse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.sealing.fields import SensitiveFields
from loom_common.domain.sealing.redaction import Redactor
from loom_common.domain.sealing.tokens import PREFIX, holds_sealed, is_sealed, masked
from loom_common.sealing.keys import Key, Keys
from loom_common.sealing.sealer import Sealer

KEYS = Keys([Key(bytes(32))])
TOKEN = KEYS.seal(b'"theirs"', "people/email")


def sealer(*names: str) -> Sealer:
    return Sealer("people", SensitiveFields(names), KEYS)


@pytest.mark.parametrize(
    ("names", "record", "shown"),
    [
        (["email"], {"email": "a", "x": 1}, {"email": "***", "x": 1}),
        (["email"], {"email": None}, {"email": "***"}),
        (["a"], {"a": {"b": [1, {"c": "d"}]}}, {"a": "***"}),
        (["a.b"], {"a": {"b": True, "c": "d"}, "b": 1}, {"a": {"b": "***", "c": "d"}, "b": 1}),
        (["a.b"], {"a": [{"b": 1}, {"c": 2}, 3]}, {"a": [{"b": "***"}, {"c": 2}, 3]}),
        (["a.b"], {"a.b": 1, "a": "c"}, {"a.b": "***", "a": "c"}),
        (["a.b", "a"], {"a": {"b": 1, "c": 2}}, {"a": "***"}),
        (["a", "a.b"], {"a": {"b": 1, "c": 2}}, {"a": "***"}),
        (["email"], {}, {}),
        ([], {"a": {"b": TOKEN}}, {"a": {"b": "***"}}),
    ],
)
def test_named_fields_are_sealed(names, record, shown):
    sealed = sealer(*names).sealed(record)
    assert masked(sealed) == shown
    assert sealer(*names).opened(sealed) == record


texts = st.text() | st.just(TOKEN) | st.just(PREFIX)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from("abc"), each, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "a.b"]), values), st.lists(st.sampled_from(["a", "a.b", "b.c.a"])))
def test_opening_is_the_reverse_of_sealing_whatever_a_record_holds(record, names):
    each = sealer(*names)
    sealed = each.sealed(record)
    assert each.opened(sealed) == record
    assert each.opened(each.whole(record)) == record


def test_a_text_of_the_source_that_looks_sealed_is_not_opened():
    each = sealer("email")
    planted = {"note": TOKEN, "email": TOKEN}
    once = each.opened(each.sealed(planted))
    assert once == planted
    assert is_sealed(once["email"])


def test_an_output_that_repeats_a_value_is_sealed_too():
    values: list[Any] = ["Ada@example.org", 12, None]
    sealed = sealer("email").sealed(
        {"note": "wrote to ADA@EXAMPLE.ORG", "other": "wrote to 12 people", "deep": [{"x": "ada@example.org"}]},
        Redactor(values),
    )
    assert masked(sealed) == {"note": "***", "other": "wrote to 12 people", "deep": [{"x": "***"}]}
    assert not holds_sealed(sealer("email").opened(sealed))


def test_values_of_nested_fields_are_found():
    fields = SensitiveFields(["a.b", "c"])
    assert list(fields.values({"a": [{"b": 1}, {"b": {"x": 2}}], "c": [3, [4]], "d": 5})) == [1, 2, 3, 4]
    assert fields.without({"a": {"b": 1, "e": 2}, "c": 3}) == {"a": {"b": None, "e": 2}, "c": None}
