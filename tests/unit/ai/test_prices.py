from __future__ import annotations

import pytest

from loom_ai.budget.prices import Prices
from loom_ai.http.endpoints import endpoint_of
from loom_ai.ports import ModelCall
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.model_options.providers import ProviderConfig
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


def test_a_price_is_found_under_the_users_own_name_of_a_provider():
    providers = {name: ProviderConfig(base_url=f"http://{name}/v1") for name in ("ours", "theirs")}
    own = {"ours:small": ModelPrice(input=1.0, output=0.0), "theirs:small": ModelPrice(input=2.0, output=0.0)}
    for name, usd in (("ours", 0.001), ("theirs", 0.002)):
        at = endpoint_of(f"{name}:small", None, {}, providers)
        call = ModelCall(at.model, (), at.base_url, provider=at.provider, served_by=at.served_by)
        assert Prices().of(call, answer_of(), own).usd == pytest.approx(usd)


def test_bedrock_is_found_under_the_lists_own_name_for_it():
    call = call_of(
        model="amazon.nova-lite-v1:0", provider="bedrock", base_url="https://bedrock-runtime.${AWS_REGION}.a.com"
    )
    assert Prices().knows(call)
