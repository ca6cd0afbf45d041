"""What a listed model's tokens cost, worked out once a minute rather than for every call.

The list's own arithmetic (tiers, cached tokens, prices by the hour) takes a quarter of a call's CPU time. For calls of
a usual size most prices are three numbers: where the list agrees with them, they are used; where not, it is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import isclose

_KEPT_SECONDS = 60.0
"""Some prices change with the hour."""
_GIVEN, _ANSWERED = 100_000, 20_000
"""Tokens of calls of a usual size: tiers begin beyond them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """USD a token."""

    given: float
    cached: float
    answered: float

    def of(self, given: int, cached: int, answered: int) -> float:
        """What so many tokens cost; `cached` are among `given`."""
        return (given - cached) * self.given + cached * self.cached + answered * self.answered


class Rates:
    """Of the models that were asked for."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, Rate | None]] = {}

    def usd(self, model: str, provider: Mapping[str, str], given: int, cached: int, answered: int) -> float:
        """The list's price. Raises `LookupError` for a model it does not know."""
        if given <= _GIVEN and answered <= _ANSWERED and (rate := self._rate(model, provider)) is not None:
            return rate.of(given, cached, answered)
        return _asked(model, provider, given, cached, answered)

    def _rate(self, model: str, provider: Mapping[str, str]) -> Rate | None:
        key, now = (model, tuple(provider.items())), time.monotonic()
        kept = self._rates.get(key)
        if kept is None or now - kept[0] > _KEPT_SECONDS:
            kept = self._rates[key] = (now, _measured(model, provider))
        return kept[1]


def _measured(model: str, provider: Mapping[str, str]) -> Rate | None:
    """Three numbers that give the list's price at both ends of what is usual; None where there are none."""
    whole, cached = _GIVEN, _GIVEN // 2
    rate = Rate(
        given=_asked(model, provider, whole, 0, 0) / whole,
        cached=_asked(model, provider, whole, whole, 0) / whole,
        answered=_asked(model, provider, 0, 0, _ANSWERED) / _ANSWERED,
    )
    for sizes in ((whole, cached, _ANSWERED), (1000, 400, 100)):
        if not isclose(rate.of(*sizes), _asked(model, provider, *sizes), rel_tol=1e-9, abs_tol=1e-15):
            return None
    return rate


def _asked(model: str, provider: Mapping[str, str], given: int, cached: int, answered: int) -> float:
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=given, cache_read_tokens=cached, output_tokens=answered)
    return float(calc_price(usage, model, **provider).total_price)  # type: ignore[call-overload]
