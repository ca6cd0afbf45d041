"""Defines prices of models that the user sets."""

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

    cache_write: float | None = Field(
        None,
        ge=0,
        description="USD per million tokens that the provider was asked to keep (`cache_prompt`). Default: 1.25 times "
        "`input`, as at Anthropic.",
    )
    audio: float | None = Field(None, ge=0, description="USD per million tokens of recordings. Default: as `input`.")
    image: float | None = Field(None, ge=0, description="USD per million tokens of images. Default: as `input`.")
    batch: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The share of these prices that `execution: batch` costs. Default: 0.5 at providers whose batches "
        "cost half, else 1.",
    )

    def of(
        self,
        tokens_in: int,
        tokens_cached: int,
        tokens_out: int,
        *,
        tokens_written: int = 0,
        tokens_audio: int = 0,
        tokens_image: int = 0,
    ) -> float:
        """Return the cost in USD. All other tokens of the question are included in `tokens_in`, each in one kind."""
        kinds = (
            (tokens_cached, self.cached, 1.0),
            (tokens_written, self.cache_write, 1.25),
            (tokens_audio, self.audio, 1.0),
            (tokens_image, self.image, 1.0),
        )
        plain = tokens_in - sum(tokens for tokens, _, _ in kinds)
        special = sum(tokens * (self.input * factor if price is None else price) for tokens, price, factor in kinds)
        return (plain * self.input + special + tokens_out * self.output) / _MILLION


def price_named(prices: Mapping[str, ModelPrice], provider: str, model: str) -> ModelPrice | None:
    """Return the user's price of a model: under `provider:model`, else under the model's name."""
    return prices.get(f"{provider}:{model}") or prices.get(model)
