"""Chooses a threshold of scores so that what passes is right, or what is right passes, often enough: with a stated
probability, from labelled records that were drawn at random.

Thresholds are tested in an order that is fixed before a label is looked at, each by the exact binomial test. A chain of
tests ends at the first that fails (fixed-sequence testing). All that were accepted hold the target together with a
probability of at least 1 - delta: Angelopoulos, Bates, Candes, Jordan, Lei (2021): Learn then test. For precision there
are several chains, which begin at different shares of passing records and divide delta."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from loom_common.statistics.intervals import Interval, at_least, clopper_pearson

_STARTS = (0.1, 0.25, 0.5, 0.75)
"""The shares of passing records at which a chain for precision begins."""
_MOST_TESTED = 100


class Goal(StrEnum):
    """Says what a threshold has to hold."""

    PRECISION = "precision"
    """The share of what passes that is right to pass."""
    RECALL = "recall"
    """The share of what is right to pass that passes."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Holds a threshold, and what it comes to on the labelled records."""

    threshold: float
    precision: float
    precision_interval: Interval
    recall: float
    recall_interval: Interval
    passing: float
    """The share of the records that pass."""


def proposed(
    scores: Sequence[float], right: Sequence[bool], goal: Goal, target: float, delta: float
) -> Proposal | None:
    """Return what the threshold comes to that `threshold_for` gives; None where it gives none."""
    found = threshold_for(scores, right, goal, target, delta)
    return None if found is None else at(scores, right, found)


def threshold_for(
    scores: Sequence[float], right: Sequence[bool], goal: Goal, target: float, delta: float
) -> float | None:
    """Return the threshold that holds the target with a probability of at least 1 - `delta`: the lowest one that holds
    the precision, or the highest one that holds the recall. None where the labels show that of no threshold."""
    tested = _tested(scores)
    if not tested or not any(right):
        return None
    choose = _for_precision if goal is Goal.PRECISION else _for_recall
    return choose(_Counted(scores, right), tested, target, delta)


def at(scores: Sequence[float], right: Sequence[bool], threshold: float) -> Proposal:
    """Return what a threshold comes to."""
    counted = _Counted(scores, right)
    (passing, hits), all_right = counted.above(threshold), counted.right
    return Proposal(
        threshold=threshold,
        precision=hits / passing if passing else 0.0,
        precision_interval=clopper_pearson(hits, passing) if passing else Interval(0.0, 1.0),
        recall=hits / all_right if all_right else 0.0,
        recall_interval=clopper_pearson(hits, all_right) if all_right else Interval(0.0, 1.0),
        passing=passing / len(scores),
    )


class _Counted:
    """Counts records above thresholds, without looking at each again."""

    def __init__(self, scores: Sequence[float], right: Sequence[bool]) -> None:
        pairs = sorted(zip(scores, right, strict=True))
        self._scores = [score for score, _ in pairs]
        self._hits_below = [0, *accumulate(int(outcome) for _, outcome in pairs)]
        self.records = len(pairs)
        self.right = self._hits_below[-1]

    def above(self, threshold: float) -> tuple[int, int]:
        """Return how many records have at least this score, and how many of them are right to pass."""
        below = bisect.bisect_left(self._scores, threshold)
        return self.records - below, self.right - self._hits_below[below]


def _tested(scores: Sequence[float]) -> list[float]:
    """Return the thresholds that are tested, the highest first: distinct scores, evenly spread over the records."""
    ordered = sorted(scores, reverse=True)
    step = max(1, len(ordered) // _MOST_TESTED)
    return sorted({*ordered[::step], *ordered[-1:]}, reverse=True)


def _for_precision(counted: _Counted, tested: Sequence[float], target: float, delta: float) -> float | None:
    enough = math.ceil(math.log(delta / len(_STARTS)) / math.log(target)) if 0 < target < 1 else 1
    accepted: list[float] = []
    for share in _STARTS:
        for threshold in tested:
            passing, hits = counted.above(threshold)
            if passing < max(enough, share * counted.records):
                continue  # the chain has not begun: no labels are looked at
            if at_least(hits, passing, target) > delta / len(_STARTS):
                break
            accepted.append(threshold)
    return min(accepted, default=None)


def _for_recall(counted: _Counted, tested: Sequence[float], target: float, delta: float) -> float | None:
    accepted = None
    for threshold in reversed(tested):
        _, hits = counted.above(threshold)
        if at_least(hits, counted.right, target) > delta:
            break
        accepted = threshold
    return accepted
