"""Tests what is charged where an endpoint says anything of the tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.budget.prices import Prices
from loom_ai.wire import anthropic, google, openai
from loom_ai.wire.usage import ReportedUsage, checked_usage, estimate_of_answer, estimate_of_question
from support.scripted_model import answer_of, call_of

TEXT = "It is fine, and the kettle works as well as it did before. " * 4
CALL = call_of("How is it? " * 40)
QUESTION, ANSWER = estimate_of_question(CALL), estimate_of_answer(CALL, TEXT)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _taken(**said):
    usage = checked_usage(CALL, TEXT, ReportedUsage(**said))
    return usage.given, usage.cached, usage.answered, usage.estimated


def test_a_count_that_may_be_true_is_believed():
    assert _taken(given=120, cached=100, answered=60, total=180) == (120, 100, 60, False)
    assert _taken(given=120.0, answered=60) == (120, 0, 60, False)


@pytest.mark.parametrize(
    "garbage",
    [None, -1, -(10**12), 10**12, 2**70, 1.5, float("nan"), float("inf"), "120", True, [120], {"tokens": 120}, 0],
)
def test_a_count_that_cannot_be_true_is_replaced_by_an_estimate_that_is_marked(garbage):
    assert _taken(given=garbage, answered=60) == (QUESTION, 0, 60, True)
    assert _taken(given=120, answered=garbage) == (120, 0, ANSWER, True)


@pytest.mark.parametrize("cached", [-1, 121, 10**9, 0.5, "8", [8], {}, float("nan"), False])
def test_what_is_cached_beyond_the_question_is_charged_as_if_it_were_not(cached):
    assert _taken(given=120, cached=cached, answered=60) == (120, 0, 60, True)


def test_an_estimate_is_never_less_than_the_text_has_tokens():
    words = " ".join(["kettle", "Käse", "宇宙", "переводчик"] * 50)
    assert estimate_of_answer(CALL, words) >= len(words) / 4
    assert estimate_of_question(call_of(words)) >= len(words) / 4


def test_an_estimate_is_within_what_the_call_allowed_unless_the_text_is_longer():
    short = "yes " * 10
    assert estimate_of_answer(call_of(max_tokens=11), short) == 11
    assert estimate_of_answer(call_of(max_tokens=5), short) == 10


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ({"total": 480}, 360),
        ({"total": 100}, 60),
        ({"total": "480"}, 60),
        ({"total": 10**12}, 60),
        ({"reasoning": 300}, 360),
        ({"reasoning": 30}, 60),
        ({"reasoning": -5}, 60),
        ({"total": 180, "reasoning": 300}, 60),
    ],
)
def test_reasoning_that_is_counted_apart_is_charged(said, answered):
    assert _taken(given=120, answered=60, **said) == (120, 0, answered, False)


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        (openai, {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}),
        (anthropic, {"usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 4}}),
        (google, {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "thoughtsTokenCount": 3}}),
    ],
)
def test_each_protocol_tells_its_counts_under_names_of_its_own(wire, usage):
    said = wire.counted(usage)
    assert (said.given, said.answered) == (9, 4)


@pytest.mark.parametrize("wire", [openai, anthropic, google])
@given(usage=anything)
def test_whatever_stands_where_the_usage_should_a_cost_is_never_negative(wire, usage):
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "promptTokenCount")
    for document in ({"usage": usage, "usageMetadata": usage}, {"usage": dict.fromkeys(names, usage)}):
        taken = checked_usage(CALL, TEXT, wire.counted(document))
        assert 0 <= taken.cached <= taken.given
        answer = answer_of(tokens_in=taken.given, tokens_cached=taken.cached, tokens_out=taken.answered)
        assert 0 < Prices().of(CALL, answer).usd < 10
