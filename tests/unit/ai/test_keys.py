from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.keys import key_of
from loom_ai.ports import ChatMessage
from support.scripted_model import call_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}


def test_a_key_is_a_sha256_in_hexadecimal():
    assert len(key_of(call_of())) == 64
    assert int(key_of(call_of()), 16)


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "other"},
        {"model": "gpt-4o"},
        {"base_url": "http://elsewhere/v1"},
        {"temperature": 0.5},
        {"max_tokens": 100},
        {"schema": SCHEMA},
        {"messages": (ChatMessage("user", "Another question"),)},
        {"messages": (ChatMessage("system", "How is it?"),)},
    ],
)
def test_whatever_decides_the_answer_changes_the_key(change):
    assert key_of(replace(call_of(), **change)) != key_of(call_of())


@pytest.mark.parametrize("change", [{"api_key": "${OTHER_KEY}"}, {"purpose": "evaluate"}])
def test_who_pays_and_what_for_does_not_change_the_key(change):
    assert key_of(replace(call_of(), **change)) == key_of(call_of())


def test_the_order_of_a_schemas_keys_does_not_change_the_key():
    turned = dict(reversed(SCHEMA.items()))
    assert list(turned) != list(SCHEMA)
    assert key_of(call_of(schema=turned)) == key_of(call_of(schema=SCHEMA))


def test_a_key_may_be_one_runs_own():
    assert len({key_of(call_of(), run) for run in (None, "r1", "r2")}) == 3


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_only_equal_conversations_share_a_key(one, other):
    def key(texts):
        return key_of(call_of(messages=tuple(ChatMessage("user", text) for text in texts)))

    assert (key(one) == key(other)) == (one == other)
