"""Tests whether two runs differ on the same records: McNemar's test of verdicts, the sign test and Wilcoxon's
signed-rank test of scores.

McNemar, Q. (1947): Note on the sampling error of the difference between correlated proportions or percentages; in its
exact form, which is a sign test of those that changed. Wilcoxon, F. (1945): Individual comparisons by ranking methods;
zero differences are left out as Wilcoxon did, ties share the mean of their ranks. Up to `EXACT` differences the
distribution is computed exactly, above the normal distribution stands for it, with the correction for ties of Lehmann,
E. L. (1975): Nonparametrics, and a continuity correction of one half."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

EXACT = 1000
"""The most pairs that differ up to which the sign test is exact."""
EXACT_RANKS = 50
"""The most pairs that differ up to which the signed-rank test is exact: its exact distribution takes the square of
their number in time."""


def sign_test(better: int, worse: int) -> float | None:
    """Return the two-sided p-value of so uneven a split of pairs that differ; None where none differs."""
    number = better + worse
    if not number:
        return None
    fewer = min(better, worse)
    if number <= EXACT:
        tail = sum(math.comb(number, each) for each in range(fewer + 1)) / (1 << number)
        return min(1.0, 2 * tail)
    distance = max(0.0, abs(better - worse) - 1) / math.sqrt(number)
    return math.erfc(distance / math.sqrt(2))


def mcnemar(gained: int, lost: int) -> float | None:
    """Return the two-sided p-value of so uneven a change of verdicts: `gained` pass in the second run alone, `lost` in
    the first alone. None where no verdict changed."""
    return sign_test(gained, lost)


@dataclass(slots=True)
class SignedRanks:
    """Collects differences of pairs, and tests whether they are centred on zero. Equal differences are counted
    together, so that memory grows with the number of different ones."""

    _counts: dict[float, list[int]] = field(default_factory=dict)
    """Holds by the size of a difference how many are negative, and how many positive."""

    def add(self, difference: float, times: int = 1) -> None:
        """Add a difference, second minus first. Zero is left out."""
        if difference:
            self._counts.setdefault(round(abs(difference), 12), [0, 0])[difference > 0] += times

    @property
    def number(self) -> int:
        """Return how many pairs differ."""
        return sum(map(sum, self._counts.values()))

    def p_value(self) -> float | None:
        """Return the two-sided p-value of Wilcoxon's signed-rank test; None where no pair differs."""
        number = self.number
        if not number:
            return None
        positive, ranks = _ranked(self._counts)
        if number <= EXACT_RANKS:
            return _exact(positive, ranks)
        mean = number * (number + 1) / 4
        ties = sum(size**3 - size for size in ranks.values())
        spread = math.sqrt(number * (number + 1) * (2 * number + 1) / 24 - ties / 48)
        distance = max(0.0, abs(positive - mean) - 0.5) / spread
        return math.erfc(distance / math.sqrt(2))


def _ranked(counts: Mapping[float, list[int]]) -> tuple[float, dict[float, int]]:
    """Return the sum of the ranks of positive differences, and how many pairs have each rank."""
    positive, before = 0.0, 0
    ranks: dict[float, int] = {}
    for size in sorted(counts):
        lower, higher = counts[size]
        rank = before + (lower + higher + 1) / 2
        ranks[rank] = lower + higher
        positive += rank * higher
        before += lower + higher
    return positive, ranks


def _exact(positive: float, ranks: Mapping[float, int]) -> float:
    """Return the share of all ways to give the ranks signs whose sum is at least as far from the mean. The doubles of
    ranks are whole numbers."""
    ways = {0: 1}
    for rank, number in ranks.items():
        for _ in range(number):
            step = round(2 * rank)
            more: dict[int, int] = dict(ways)
            for total, count in ways.items():
                more[total + step] = more.get(total + step, 0) + count
            ways = more
    whole = sum(ways.values())
    middle = sum(round(2 * rank) * number for rank, number in ranks.items()) / 2
    far = abs(2 * positive - middle)
    return min(1.0, sum(count for total, count in ways.items() if abs(total - middle) >= far - 1e-9) / whole)
