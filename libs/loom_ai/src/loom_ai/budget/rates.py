"""Caches the price of a listed model's tokens for a minute.

The price list's own computation (tiers, cached tokens, prices that change by the hour) takes a quarter of the CPU time
of a call. For calls of a usual size most models have a constant price for each kind of token. Where those give the same
result as the list, they are used; otherwise the list is asked for every call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose

_KEPT_SECONDS = 60.0
"""Seconds that prices are cached. Some change with the hour."""
_GIVEN, _ANSWERED = 100_000, 20_000
"""The largest token counts of calls that the cached prices are used for; price tiers begin above them."""


Kinds = tuple[int, int, int]
"""The tokens of a question that were put into the provider's cache, and those that stand for recordings and for
images. Each token is of one kind at most, and none of them is cached."""
_NO_KINDS: Kinds = (0, 0, 0)
_KINDS = ("cache_write_tokens", "input_audio_tokens", "input_image_tokens")
_OVERLAPS = dict.fromkeys((f"cache_{kind}_{use}_tokens" for kind in ("audio", "image") for use in ("read", "write")), 0)
"""Says that no token is of two kinds. The list asks for it where two kinds have some."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Holds prices in USD per token."""

    given: float
    cached: float
    answered: float
    kinds: tuple[float, float, float]

    def of(self, given: int, cached: int, answered: int, kinds: Kinds) -> float:
        """Return the price of so many tokens in USD; the `cached` ones and those of `kinds` are included in `given`."""
        special = sum(tokens * price for tokens, price in zip(kinds, self.kinds, strict=True)) if any(kinds) else 0.0
        plain = given - cached - sum(kinds)
        return plain * self.given + cached * self.cached + answered * self.answered + special


class Rates:
    """Keeps the prices of all models that were asked for."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, Rate | None]] = {}

    def usd(
        self,
        model: str,
        provider: Mapping[str, str],
        given: int,
        cached: int,
        answered: int,
        kinds: Kinds = _NO_KINDS,
    ) -> float:
        """Return the list's price in USD. Raises `LookupError` for a model that is not listed."""
        if given <= _GIVEN and answered <= _ANSWERED and (rate := self._rate(model, provider)) is not None:
            return rate.of(given, cached, answered, kinds)
        return _listed_price(model, provider, given, cached, answered, kinds)

    def _rate(self, model: str, provider: Mapping[str, str]) -> Rate | None:
        key, now = (model, tuple(provider.items())), time.monotonic()
        kept = self._rates.get(key)
        if kept is None or now - kept[0] > _KEPT_SECONDS:
            kept = self._rates[key] = (now, _derived_rate(model, provider))
        return kept[1]


def _derived_rate(model: str, provider: Mapping[str, str]) -> Rate | None:
    """Derive the prices per token from the list; None where the list's prices are not constant."""
    whole, cached = _GIVEN, _GIVEN // 2
    written, audio, image = (
        _listed_price(model, provider, whole, 0, 0, (whole * (at == 0), whole * (at == 1), whole * (at == 2))) / whole
        for at in range(3)
    )
    rate = Rate(
        given=_listed_price(model, provider, whole, 0, 0) / whole,
        cached=_listed_price(model, provider, whole, whole, 0) / whole,
        answered=_listed_price(model, provider, 0, 0, _ANSWERED) / _ANSWERED,
        kinds=(written, audio, image),
    )
    trials: tuple[tuple[int, int, int, Kinds], ...] = (
        (whole, cached, _ANSWERED, _NO_KINDS),
        (1000, 400, 100, _NO_KINDS),
        (1000, 400, 100, (100, 200, 50)),
    )
    for sizes in trials:
        if not isclose(rate.of(*sizes), _listed_price(model, provider, *sizes), rel_tol=1e-9, abs_tol=1e-15):
            return None
    return rate


def _listed_price(
    model: str, provider: Mapping[str, str], given: int, cached: int, answered: int, kinds: Kinds = _NO_KINDS
) -> float:
    from genai_prices import Usage, calc_price

    special = {**dict(zip(_KINDS, kinds, strict=True)), **_OVERLAPS} if any(kinds) else {}
    usage = Usage(input_tokens=given, cache_read_tokens=cached, output_tokens=answered, **special)
    return float(calc_price(usage, model, **provider).total_price)  # type: ignore[call-overload]
