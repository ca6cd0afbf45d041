"""Defines prices of models that the user sets."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from loom_common.domain.section import Section

_MILLION = 1_000_000


class ModelPrice(Section):
    """Holds a model's prices in USD per million tokens."""

    input: float = Field(ge=0, description="USD per million tokens of questions.")
    output: float = Field(ge=0, description="USD per million tokens of answers.")
    cached: float | None = Field(
        None, ge=0, description="USD per million tokens the provider had cached. Default: as `input`."
    )

    batch: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The share of these prices that `execution: batch` costs. Default: 0.5 at providers whose batches "
        "cost half, else 1.",
    )

    def of(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> float:
        """Return the cost in USD. `tokens_cached` are included in `tokens_in`."""
        cached = self.input if self.cached is None else self.cached
        fresh = tokens_in - tokens_cached
        return (fresh * self.input + tokens_cached * cached + tokens_out * self.output) / _MILLION


def price_named(prices: Mapping[str, ModelPrice], provider: str, model: str) -> ModelPrice | None:
    """Return the user's price of a model: under `provider:model`, else under the model's name."""
    return prices.get(f"{provider}:{model}") or prices.get(model)
