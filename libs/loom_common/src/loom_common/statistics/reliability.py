"""Measures whether stated probabilities hold: of what is said with 0.8, does 80% come true?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Describes the records whose stated probability lies in one bin."""

    low: float
    high: float
    records: int
    stated: float
    """The mean of the stated probabilities."""
    true: float
    """The share of the records that came true."""


def bin_of(probability: float, bins: int = BINS) -> int:
    """Return the bin of equal width that a probability falls into; 1 belongs to the last one."""
    return min(bins - 1, int(probability * bins))


def reliability(stated: Sequence[float], came_true: Sequence[bool], bins: int = BINS) -> list[ReliabilityBin]:
    """Return the bins that hold records. The probabilities lie in [0, 1]."""
    sums = [[0, 0.0, 0] for _ in range(bins)]
    for probability, outcome in zip(stated, came_true, strict=True):
        of_bin = sums[bin_of(probability, bins)]
        of_bin[0] += 1
        of_bin[1] += probability
        of_bin[2] += outcome
    return [
        ReliabilityBin(place / bins, (place + 1) / bins, int(number), total / number, hits / number)
        for place, (number, total, hits) in enumerate(sums)
        if number
    ]


def expected_calibration_error(stated: Sequence[float], came_true: Sequence[bool], bins: int = BINS) -> float | None:
    """Return the mean distance between stated probability and share come true, over bins of equal width, weighted by
    their records; None without records.

    Naeini, Cooper, Hauskrecht (2015): Obtaining well calibrated probabilities using Bayesian binning."""
    found = reliability(stated, came_true, bins)
    total = sum(each.records for each in found)
    return math.fsum(each.records * abs(each.stated - each.true) for each in found) / total if total else None


def error_of(gaps: Sequence[tuple[int, float]], bins: int = BINS) -> float | None:
    """Return the same of records whose bin, and whose stated probability less 1 where it came true, is known already:
    records that are drawn again and again need not be looked at anew. The records of a bin weigh its distance, so that
    it is the sum of theirs."""
    sums = [0.0] * bins
    for place, gap in gaps:
        sums[place] += gap
    return sum(map(abs, sums)) / len(gaps) if gaps else None


def brier_score(stated: Sequence[float], came_true: Sequence[bool]) -> float | None:
    """Return the mean squared distance between stated probability and outcome; None without records.

    Brier, G. W. (1950): Verification of forecasts expressed in terms of probability."""
    if not stated:
        return None
    pairs = zip(stated, came_true, strict=True)
    return math.fsum((probability - outcome) ** 2 for probability, outcome in pairs) / len(stated)
