"""What an answer costs, by the bundled price list of the `genai-prices` package. No network."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import structlog

from loom_ai.ports import ModelAnswer, ModelCall

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Price:
    """USD. An unknown price is 0.0 and says so."""

    usd: float
    known: bool


_UNKNOWN = Price(0.0, known=False)


class Prices:
    """Prices answers. The list is read at the first question: that takes half a second."""

    def __init__(self) -> None:
        self._listed: dict[tuple[str, str], tuple[str, dict[str, str]] | None] = {}

    def of(self, call: ModelCall, answer: ModelAnswer) -> Price:
        """By the provider that serves the endpoint, where the list knows it; else as if OpenAI did (a proxy)."""
        from genai_prices import Usage, calc_price

        place = (call.base_url, call.model)
        if place not in self._listed:
            self._listed[place] = _find(call, answer)
            if self._listed[place] is None:
                log.warning("no price is known for this model: its calls count as 0 USD", model=call.model)
        listed = self._listed[place]
        if listed is None:
            return Price(0.0, known=False)
        model, provider = listed
        usage = Usage(
            input_tokens=answer.tokens_in, cache_read_tokens=answer.tokens_cached, output_tokens=answer.tokens_out
        )
        return Price(float(calc_price(usage, model, **provider).total_price), known=True)  # type: ignore[call-overload]


def _find(call: ModelCall, answer: ModelAnswer) -> tuple[str, dict[str, str]] | None:
    """Under which model and provider the list knows a price: the name asked for before the name that answered."""
    from genai_prices import Usage, calc_price

    for model in dict.fromkeys((call.model, answer.model)):
        for provider in ({"provider_api_url": call.base_url}, {"provider_id": "openai"}):
            with contextlib.suppress(LookupError):
                calc_price(Usage(), model, **provider)  # type: ignore[call-overload]  # one of the two it takes
                return model, provider
    return None
