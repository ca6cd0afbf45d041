"""Measures predicted numbers against true ones: their mean, and how far they have the same order."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None without values."""
    return math.fsum(values) / len(values) if values else None


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value from 1. Equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end + 1 < len(order) and values[order[end + 1]] == values[order[begin]]:
            end += 1
        shared = (begin + end) / 2 + 1
        for place in range(begin, end + 1):
            found[order[place]] = shared
        begin = end + 1
    return found


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Pearson's correlation; None where one side does not vary."""
    count = len(one)
    if count < 2:
        return None
    centre, other_centre = math.fsum(one) / count, math.fsum(other) / count
    left, right = [value - centre for value in one], [value - other_centre for value in other]
    spread = math.sqrt(math.fsum(value * value for value in left) * math.fsum(value * value for value in right))
    if spread == 0.0:
        return None
    both = math.fsum(a * b for a, b in zip(left, right, strict=True)) / spread
    return max(-1.0, min(1.0, both))


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None where one side does not vary.

    Spearman, C. (1904): The proof and measurement of association between two things."""
    return correlation(ranks(one), ranks(other))


def area_under_curve(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Return the probability that a positive has a higher score than a negative, where a tie counts as half: the area
    under the ROC curve. None where there are only positives, or only negatives."""
    hits = sum(positive)
    misses = len(positive) - hits
    if not hits or not misses:
        return None
    of_hits = math.fsum(rank for rank, is_hit in zip(ranks(scores), positive, strict=True) if is_hit)
    return (of_hits - hits * (hits + 1) / 2) / (hits * misses)
