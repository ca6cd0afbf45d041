"""Measures how far two distributions are apart, and how likely chance makes such a distance."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_EXACT_CELLS = 250_000
"""The product of both sizes up to which the p-value of Kolmogorov and Smirnov is exact."""
_ROUNDING = 1e-10
_TERMS = 100
_TINY = 1e-300
_FLOOR = 1e-4
"""The share that stands for an empty bin in a population stability index, whose logarithm would be infinite."""


@dataclass(frozen=True, slots=True)
class Distance:
    """Holds a distance, and the probability of one at least as large where both samples are of one distribution."""

    statistic: float
    p: float


def kolmogorov_smirnov(one: Sequence[float], other: Sequence[float]) -> Distance:
    """Return the largest distance between the distribution functions of two samples, which must not be empty, with its
    two-sided p-value.

    The p-value of small samples is exact: the share of orders of both samples together whose distance is smaller is
    counted step by step (Hodges, J. L., 1958: The significance probability of the Smirnov two-sample test). For large
    ones it is Kolmogorov's limit with the correction of Stephens, M. A. (1970)."""
    left, right = sorted(one), sorted(other)
    n, m = len(left), len(right)
    places = sorted({*left, *right})
    statistic = max(abs(bisect.bisect_right(left, x) / n - bisect.bisect_right(right, x) / m) for x in places)
    if n * m <= _EXACT_CELLS:
        return Distance(statistic, _exact(n, m, statistic))
    root = math.sqrt(n * m / (n + m))
    return Distance(statistic, _kolmogorov((root + 0.12 + 0.11 / root) * statistic))


def chi_square(one: Mapping[str, int], other: Mapping[str, int]) -> Distance:
    """Return Pearson's statistic of homogeneity of two samples of categories, which must not be empty, with its
    p-value. Without a second category the distance is 0.

    Pearson, K. (1900): On the criterion that a given system of deviations ... can be reasonably supposed to have arisen
    from random sampling."""
    categories = [name for name in {*one, *other} if one.get(name, 0) + other.get(name, 0) > 0]
    totals = [sum(sample.values()) for sample in (one, other)]
    everything = sum(totals)
    statistic = 0.0
    for name in categories:
        both = one.get(name, 0) + other.get(name, 0)
        for sample, total in zip((one, other), totals, strict=True):
            expected = both * total / everything
            statistic += (sample.get(name, 0) - expected) ** 2 / expected
    degrees = len(categories) - 1
    return Distance(statistic, 1.0 if degrees < 1 else upper_incomplete_gamma(degrees / 2, statistic / 2))


def population_stability(base: Mapping[str, int], now: Mapping[str, int]) -> float:
    """Return the population stability index of two samples of categories, which must not be empty: the sum over the
    categories of (now - base) * ln(now / base) of their shares, which is Jeffreys' divergence. Below 0.1 is usually
    taken for no shift, above 0.2 for one that matters.

    Siddiqi, N. (2006): Credit risk scorecards."""
    before, after = sum(base.values()), sum(now.values())
    index = 0.0
    for name in {*base, *now}:
        expected = max(base.get(name, 0) / before, _FLOOR)
        found = max(now.get(name, 0) / after, _FLOOR)
        index += (found - expected) * math.log(found / expected)
    return index


def binned(base: Sequence[float], now: Sequence[float], bins: int = 10) -> tuple[dict[str, int], dict[str, int]]:
    """Count two samples of numbers in bins that hold equally many of the first. Equal ends make one bin."""
    ordered = sorted(base)
    ends = sorted({ordered[min(len(ordered) - 1, place * len(ordered) // bins)] for place in range(1, bins)})
    counts = []
    for sample in (base, now):
        counted = dict.fromkeys(map(str, range(len(ends) + 1)), 0)
        for value in sample:
            counted[str(bisect.bisect_right(ends, value))] += 1
        counts.append(counted)
    return counts[0], counts[1]


def upper_incomplete_gamma(a: float, x: float) -> float:
    """Return the regularized upper incomplete gamma function Q(a, x): by its series below a + 1, else by its continued
    fraction (Numerical Recipes, section 6.2)."""
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1.0 / a
        at = a
        while abs(term) > abs(total) * 1e-16:
            at += 1
            term *= x / at
            total += term
        return 1.0 - front * total
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for step in range(1, 10_000):
        factor = -step * (step - a)
        b += 2
        d = 1 / (factor * d + b or _TINY)
        c = b + factor / c or _TINY
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * value


def _exact(n: int, m: int, statistic: float) -> float:
    """Return the probability that two samples of these sizes are at least so far apart. Row by row, `within[j]` is the
    share of the orders of i values of the one and j of the other whose distances were all smaller."""
    if statistic <= 0:
        return 1.0
    within = [1.0] + [0.0] * m
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 and j == 0:
                continue
            if abs(i / n - j / m) >= statistic - _ROUNDING:
                within[j] = 0.0
                continue
            above = within[j] * i if i else 0.0
            before = within[j - 1] * j if j else 0.0
            within[j] = (above + before) / (i + j)
    return min(1.0, max(0.0, 1.0 - within[m]))


def _kolmogorov(value: float) -> float:
    """Return the probability that Kolmogorov's limit is larger than `value`."""
    if value < 0.2:  # the series converges slowly there, and its sum is 1 to the last digit
        return 1.0
    total = 0.0
    for step in range(1, _TERMS):
        term = 2 * (-1) ** (step - 1) * math.exp(-2 * step * step * value * value)
        total += term
        if abs(term) < 1e-16:
            break
    return min(1.0, max(0.0, total))
