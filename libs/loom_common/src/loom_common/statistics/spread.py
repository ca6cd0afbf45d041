"""Describes how values are spread: quantiles, standard deviation and entropy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return a quantile of values that are in their order, interpolated between neighbours; None without values.

    Hyndman, R. J. and Fan, Y. (1996): Sample quantiles in statistical packages, definition 7, which is also NumPy's."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def standard_deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a whole population; None without values."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def entropy(counts: Iterable[int]) -> float:
    """Return the entropy of a distribution in bits: 0 where all are alike, log2(k) where k values are equally frequent.

    Shannon, C. E. (1948): A mathematical theory of communication."""
    counted = [count for count in counts if count > 0]
    total = sum(counted)
    return math.fsum(-count / total * math.log2(count / total) for count in counted) + 0.0


def thinned(values: Iterable[float], most: int) -> list[float]:
    """Return the values in their order; of more than `most`, so many that are evenly spaced in it, with both ends."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(place * (len(ordered) - 1) / (most - 1))] for place in range(most)]
