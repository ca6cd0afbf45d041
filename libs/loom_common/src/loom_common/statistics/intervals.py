"""Computes intervals of shares: how far the true share may be from the one that was counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Holds the ends of a confidence interval."""

    low: float
    high: float


def wilson(hits: int, total: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a share. Without records it is [0, 1].

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference."""
    if not total:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, weight = hits / total, z * z / total
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    low = 0.0 if hits == 0 else max(0.0, centre - reach)
    high = 1.0 if hits == total else min(1.0, centre + reach)
    return Interval(low, high)


def clopper_pearson(hits: int, total: int, level: float = LEVEL) -> Interval:
    """Return the exact interval of a share: it holds the true one at least as often as `level` says.

    Clopper, C. J. and Pearson, E. S. (1934): The use of confidence or fiducial limits."""
    alpha = (1 - level) / 2
    return Interval(lower_bound(hits, total, alpha), upper_bound(hits, total, alpha))


def lower_bound(hits: int, total: int, delta: float) -> float:
    """Return the exact one-sided bound: the true share is below it with a probability of at most `delta`."""
    if hits <= 0:
        return 0.0
    return _solved(lambda share: at_least(hits, total, share) - delta)


def upper_bound(hits: int, total: int, delta: float) -> float:
    """Return the exact one-sided bound: the true share is above it with a probability of at most `delta`."""
    return 1.0 - lower_bound(total - hits, total, delta)


def at_least(hits: int, total: int, share: float) -> float:
    """Return the probability that at least `hits` of `total` come true where each does with probability `share`."""
    if hits <= 0:
        return 1.0
    if hits > total or share <= 0.0:
        return 0.0
    if share >= 1.0:
        return 1.0
    return incomplete_beta(hits, total - hits + 1, share)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function, by its continued fraction (Numerical Recipes, section 6.4)."""
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


_TINY = 1e-300
_TERMS = 10_000


def _fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction by Lentz's method."""
    c, d = 1.0, _away_from_zero(1.0 - (a + b) * x / (a + 1))
    d = 1.0 / d
    value = d
    for m in range(1, _TERMS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + numerator * d)
            c = _away_from_zero(1.0 + numerator / c)
            value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _solved(rising: Callable[[float], float]) -> float:
    """Return where a function that rises from below 0 to above 0 over [0, 1] is 0, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return low
