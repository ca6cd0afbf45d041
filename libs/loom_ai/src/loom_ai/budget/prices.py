"""Prices calls by the pipeline's own prices, or else by the list in the `genai-prices` package. It uses no network."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from loom_ai.attachments.tokens import most
from loom_ai.budget.rates import Rates
from loom_ai.ports import ModelAnswer, ModelCall
from loom_common.domain.model_options.pricing import ModelPrice, price_named
from loom_common.domain.model_options.providers import provider_named
from loom_common.domain.values.per_record import per_record
from loom_common.logs.logger import log


@per_record
class Tokens:
    """Holds the token counts that are priced. All but the `answered` ones are included in `given`, each in one kind at
    most."""

    given: int = 0
    cached: int = 0
    answered: int = 0
    written: int = 0
    """Counts the input tokens that the provider put into its cache."""
    audio: int = 0
    image: int = 0


@per_record
class Price:
    """Represents a price in USD. It is 0.0 and not `known` where no price was found."""

    usd: float
    known: bool


_LISTED_AS = {"bedrock": "aws"}
"""Holds the names of providers in the price list, where they differ from Loom's."""
_UNKNOWN = Price(0.0, known=False)
Listed = tuple[str, dict[str, str]]
"""A model's name in the price list, and the provider it stands under."""


class Prices:
    """Prices calls. The price list is loaded at the first use, which takes half a second."""

    def __init__(self) -> None:
        self._listed: dict[tuple[str, str, str, str | None], Listed | None] = {}
        self._told: set[tuple[str, str]] = set()
        self._rates = Rates()

    def of(self, call: ModelCall, answer: ModelAnswer, own: Mapping[str, ModelPrice] | None = None) -> Price:
        """Return the price of an answered call.

        It is taken from the pipeline's `own` prices for the model, else from the list of the endpoint's provider where
        there is one, else from OpenAI's list, as for a proxy."""
        tokens = Tokens(
            answer.tokens_in,
            answer.tokens_cached,
            answer.tokens_out,
            answer.tokens_written,
            answer.tokens_audio,
            answer.tokens_image,
        )
        price = self.quote(call, tokens, own, answered_by=answer.model)
        if not price.known and self._first_time(call):
            log.warning(
                "no price is known for this model: its calls count as 0 USD. Say it: `prices: {model: {input: ..., "
                "output: ...}}`",
                model=call.model,
            )
        return price

    def quote(
        self,
        call: ModelCall,
        tokens: Tokens,
        own: Mapping[str, ModelPrice] | None = None,
        answered_by: str | None = None,
    ) -> Price:
        """Return the price of `tokens` of the call's model, before or after the call was made. A call that a batch
        answers costs its share of it."""
        price = self._full(call, tokens, own, answered_by)
        if call.batch_deadline is None or not price.known:
            return price
        return Price(price.usd * batch_share(call, own), known=True)

    def worst(self, call: ModelCall, given: int, answered: int, own: Mapping[str, ModelPrice] | None = None) -> Price:
        """Return the highest price of a call that has so many tokens at most, before it was made: all that the provider
        is asked to keep is charged for keeping it, and what stands for recordings or images costs what those cost."""
        audio, image = (_attached(call, kind) for kind in ("audio", "image"))
        audio, image = min(given, audio), min(max(0, given - audio), image)
        plain = Tokens(given, answered=answered)
        ways = [plain, replace(plain, audio=audio, image=image)] if audio or image else [plain]
        if call.asking.cache_prompt and provider_named(call.provider).wire == "anthropic":
            ways += [replace(way, written=given - way.audio - way.image) for way in ways]
        return max((self.quote(call, way, own) for way in ways), key=lambda price: price.usd)

    def _full(
        self, call: ModelCall, tokens: Tokens, own: Mapping[str, ModelPrice] | None, answered_by: str | None
    ) -> Price:
        if own and (said := price_named(own, call.served_by or call.provider, call.model)) is not None:
            usd = said.of(
                tokens.given,
                tokens.cached,
                tokens.answered,
                tokens_written=tokens.written,
                tokens_audio=tokens.audio,
                tokens_image=tokens.image,
            )
            return Price(usd, known=True)
        listed = self._in_list(call, answered_by)
        if listed is None:
            return _UNKNOWN
        model, provider = listed
        kinds = (tokens.written, tokens.audio, tokens.image)
        return Price(self._rates.usd(model, provider, tokens.given, tokens.cached, tokens.answered, kinds), known=True)

    def knows(
        self, call: ModelCall, own: Mapping[str, ModelPrice] | None = None, answered_by: str | None = None
    ) -> bool:
        """Say whether the call has a price."""
        said = own and price_named(own, call.served_by or call.provider, call.model) is not None
        return bool(said) or self._in_list(call, answered_by) is not None

    def _in_list(self, call: ModelCall, answered_by: str | None) -> Listed | None:
        place = (call.provider, call.base_url, call.model, answered_by)
        if place not in self._listed:
            self._listed[place] = _find(call, answered_by)
        return self._listed[place]

    def _first_time(self, call: ModelCall) -> bool:
        place = (call.base_url, call.model)
        first = place not in self._told
        self._told.add(place)
        return first


def _attached(call: ModelCall, kind: str) -> int:
    """Return the most tokens that the attachments of one kind count as."""
    there = (each for message in call.messages for each in message.attachments if each.kind == kind)
    return sum(most(each, call.provider, call.model) for each in there)


def batch_share(call: ModelCall, own: Mapping[str, ModelPrice] | None = None) -> float:
    """Return the share of the usual price that the batches of the call's provider cost: as the pipeline says, else as
    the provider is known to charge. Of a provider that only the pipeline knows, nothing is assumed."""
    said = None if own is None else price_named(own, call.served_by or call.provider, call.model)
    if said is not None and said.batch is not None:
        return said.batch
    share = None if call.served_by else provider_named(call.provider).batch_price
    return 1.0 if share is None else share


def _find(call: ModelCall, answered_by: str | None) -> Listed | None:
    """Return where the list has a price: first for the model that was asked for, then for the one that answered."""
    from genai_prices import Usage, calc_price

    for model in dict.fromkeys((call.model, answered_by or call.model)):
        for provider in (
            {"provider_api_url": call.base_url},
            {"provider_id": _LISTED_AS.get(call.provider, call.provider)},
            {"provider_id": "openai"},
        ):
            with contextlib.suppress(LookupError):
                calc_price(Usage(), model, **provider)  # type: ignore[call-overload]  # one of the two it takes
                return model, provider
    return None
