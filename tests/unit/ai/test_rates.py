from __future__ import annotations

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from loom_ai.budget.rates import Rates

RATES = Rates()
MODELS = [
    ("gpt-4o-mini", {"provider_id": "openai"}),
    ("claude-sonnet-4-5", {"provider_id": "anthropic"}),
    ("gemini-2.5-pro", {"provider_id": "google"}),
    ("deepseek-chat", {"provider_id": "deepseek"}),
]


@settings(max_examples=60, deadline=None)
@given(
    which=st.sampled_from(MODELS),
    tokens=st.integers(0, 400_000),
    share=st.floats(0, 1),
    answered=st.integers(0, 60_000),
)
def test_the_price_is_the_lists_whatever_the_size(which, tokens, share, answered):
    model, provider = which
    cached = int(tokens * share)
    usage = Usage(input_tokens=tokens, cache_read_tokens=cached, output_tokens=answered)
    expected = float(calc_price(usage, model, **provider).total_price)
    assert RATES.usd(model, provider, tokens, cached, answered) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_model_the_list_does_not_know_is_said_to_be_unknown():
    with pytest.raises(LookupError):
        RATES.usd("no-such-model", {"provider_id": "openai"}, 1, 0, 1)
