from __future__ import annotations

import pytest

from loom_ai.prices import Prices
from support.scripted_model import answer_of, call_of


@pytest.mark.parametrize(
    ("model", "base_url", "usd"),
    [
        ("gpt-4o-mini", "https://api.openai.com/v1", 0.00021),
        ("gpt-4o-mini", "http://127.0.0.1:20001/v1", 0.00021),  # a proxy: by the model's own price
        ("llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", 0.000669),
    ],
)
def test_an_answer_costs_what_its_provider_charges(model, base_url, usd):
    price = Prices().of(call_of(model=model, base_url=base_url), answer_of())
    assert price.known
    assert price.usd == pytest.approx(usd)


def test_tokens_the_provider_had_cached_cost_less():
    prices, call = Prices(), call_of()
    assert prices.of(call, answer_of(tokens_cached=900)).usd < prices.of(call, answer_of()).usd


def test_a_deployment_under_another_name_costs_what_the_answering_model_does():
    price = Prices().of(call_of(model="my-deployment"), answer_of(model="gpt-4o-mini-2024-07-18"))
    assert price.known
    assert price.usd == pytest.approx(0.00021)


def test_an_unknown_price_is_zero_and_says_so_once(capsys):
    prices, call, answer = Prices(), call_of(model="my-own"), answer_of(model="my-own")
    for _ in range(3):
        price = prices.of(call, answer)
        assert (price.usd, price.known) == (0.0, False)
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("no price is known") == 1
