from __future__ import annotations

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.domain.model_options.pricing import ModelPrice, price_named
from loom_common.errors import InvalidDefinition

BASE = {
    "name": "reviews",
    "extract": {"source": "a.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "b.csv"},
}


def monitoring(**said):
    return parse({**BASE, "monitoring": said}).monitoring


def test_a_spike_and_a_drop_may_be_said_as_a_number():
    config = monitoring(cost_spike=1.5, score_degradation=0.05)
    assert (config.cost_spike.factor, config.score_degradation.drop) == (1.5, 0.05)
    assert config.watches
    assert not monitoring(cost_budget=3).watches


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"cost_budget": 0}, "cost_budget"),
        ({"latency_sla": {}}, "at least one of `p50`"),
        ({"quality_threshold": {"min_score": 1.5}}, "min_score"),
        ({"cost_spike": 1}, "cost_spike"),
        ({"alerts": {"webhook": "https://hooks.slack.com/services/T0/B0/abc"}}, "credential reference"),
        ({"budget": 3}, "cost_budget"),
    ],
)
def test_mistakes_are_told_with_their_place(said, words):
    with pytest.raises(InvalidDefinition) as told:
        monitoring(**said)
    assert words in str(told.value)


def test_a_price_is_in_usd_per_million_tokens():
    price = ModelPrice(input=2.0, output=8.0, cached=0.5)
    assert price.of(1_000_000, 400_000, 250_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.25 * 8)
    assert ModelPrice(input=2.0, output=8.0).of(1_000_000, 400_000, 0) == pytest.approx(2.0)


def test_the_providers_price_comes_before_the_models():
    mine, any_ones = ModelPrice(input=1, output=1), ModelPrice(input=2, output=2)
    prices = {"groq:llama": mine, "llama": any_ones}
    assert price_named(prices, "groq", "llama") is mine
    assert price_named(prices, "openai", "llama") is any_ones
    assert price_named(prices, "openai", "other") is None
