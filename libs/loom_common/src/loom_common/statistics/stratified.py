"""Measures verdicts of people on a sample of two strata, and chooses thresholds from it.

One stratum is taken whole: the records nearest to a threshold. Of all the others some are drawn at random without
replacement. How many of the others reach a threshold is known from their scores, so that only one number is to be
estimated: how many of these are right. Its bounds are those of the hypergeometric distribution, which is that of draws
without replacement (Buonaccorsi, J. P., 1987: A note on confidence intervals for proportions in finite populations).
What is stated holds for the records that the sample was drawn from. Thresholds are tested in a fixed order, as in
`thresholds.py`, whose source is Learn then test."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loom_common.statistics import bootstrap
from loom_common.statistics.agreement import cohens_kappa
from loom_common.statistics.classification import Confusion
from loom_common.statistics.intervals import LEVEL, Interval
from loom_common.statistics.thresholds import Goal, Proposal

_STARTS = (0.1, 0.25, 0.5, 0.75)
"""The shares of passing records at which a chain of tests for precision begins."""
PASS, FAIL = "pass", "fail"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Holds the score of a record beside what a person said; `right` is None where nobody could say it."""

    score: float
    right: bool | None


@dataclass(frozen=True, slots=True)
class Strata:
    """Holds a sample. Scores that are needed of records outside of it are counted in `above`."""

    whole: Sequence[Labelled]
    """All records of the stratum that is taken whole."""
    drawn: Sequence[Labelled]
    """The records that were drawn from all others; those about which nobody could say anything are left out."""
    others: int
    """The number of the records that they were drawn from."""
    above: Mapping[float, int] = field(default_factory=dict)
    """Counts, by each score in the sample, the records outside of the whole stratum that have at least this score."""

    @property
    def records(self) -> int:
        """Return the number of records that the sample stands for."""
        return len(self.whole) + self.others

    def weighed(self) -> tuple[list[Labelled], float, list[Labelled], float]:
        """Return the labelled records of both strata, each with how many records one of them stands for."""
        whole = [each for each in self.whole if each.right is not None]
        return (
            whole,
            len(self.whole) / len(whole) if whole else 0.0,
            list(self.drawn),
            self.others / len(self.drawn) if self.drawn else 0.0,
        )

    @property
    def is_estimable(self) -> bool:
        """Tell whether there are labels of each stratum that has records."""
        whole, _, drawn, _ = self.weighed()
        return bool(whole or drawn) and (bool(whole) or not self.whole) and (bool(drawn) or not self.others)


def kappa(strata: Strata, threshold: float, seed: int = 0) -> tuple[float | None, Interval | None]:
    """Return Cohen's kappa of people and of scores that reach a threshold, each label weighed by how many records it
    stands for. The interval of 95% is by the bootstrap, within each stratum. None where a stratum has no label."""
    if not strata.is_estimable:
        return None, None
    whole, each_whole, drawn, each_drawn = strata.weighed()
    parts = [(_cells(whole, threshold), each_whole), (_cells(drawn, threshold), each_drawn)]
    chance = random.Random(seed)  # noqa: S311 - no secret is made of it
    found = [
        _kappa_of([(chance.choices(cells, k=len(cells)) if cells else cells, weight) for cells, weight in parts])
        for _ in range(bootstrap.resamples_of(len(whole) + len(drawn)))
    ]
    return _kappa_of(parts), bootstrap.percentiles(found)


def agreement(strata: Strata, threshold: float) -> float | None:
    """Return the share of records on which people and scores agree, weighed as `kappa` does."""
    if not strata.is_estimable:
        return None
    whole, each_whole, drawn, each_drawn = strata.weighed()
    alike = sum(each_whole for one, other in _cells(whole, threshold) if one == other)
    alike += sum(each_drawn for one, other in _cells(drawn, threshold) if one == other)
    return alike / (len(whole) * each_whole + len(drawn) * each_drawn)


def _cells(labelled: Sequence[Labelled], threshold: float) -> list[tuple[str, str]]:
    return [(PASS if each.right else FAIL, PASS if each.score >= threshold else FAIL) for each in labelled]


def _kappa_of(parts: Sequence[tuple[Sequence[tuple[str, str]], float]]) -> float | None:
    counts: dict[tuple[str, str], float] = {}
    for cells, weight in parts:
        for cell in cells:
            counts[cell] = counts.get(cell, 0.0) + weight
    value = cohens_kappa(Confusion(counts))  # type: ignore[arg-type]  # weights in place of counts
    return None if value is None else max(-1.0, min(1.0, value))


def proposed(strata: Strata, goal: Goal, target: float, delta: float) -> Proposal | None:
    """Return the threshold that holds the target among the records that the sample stands for, with a probability of at
    least 1 - `delta`: the lowest one that holds the precision, or the highest that holds the recall. None where the
    labels show that of no threshold."""
    counted = _Counted(strata)
    if not strata.is_estimable or not counted.any_right:
        return None
    choose = _for_precision if goal is Goal.PRECISION else _for_recall
    found = choose(counted, target, delta)
    return None if found is None else at(strata, found)


def at(strata: Strata, threshold: float) -> Proposal:
    """Return what a threshold comes to among the records that the sample stands for. The intervals are exact ones of
    95%, and take the worst of records about which nobody could say anything."""
    counted = _Counted(strata)
    side = (1 - LEVEL) / 2
    passing, low, high = counted.passing(threshold), *counted.hits(threshold, side)
    missed_low, missed_high = counted.missed(threshold, side / 2)
    least, most = counted.hits(threshold, side / 2)
    hits, missed = counted.estimate(threshold)
    labelled = passing or 1
    return Proposal(
        threshold=threshold,
        precision=hits / labelled,
        precision_interval=Interval(low / passing, high / passing) if passing else Interval(0.0, 1.0),
        recall=hits / (hits + missed) if hits + missed else 0.0,
        recall_interval=Interval(_share(least, missed_high, 0.0), _share(most, missed_low, 1.0)),
        passing=passing / strata.records if strata.records else 0.0,
    )


def _share(part: float, rest: float, without: float) -> float:
    return part / (part + rest) if part + rest else without


class _Counted:
    """Counts what lies above thresholds in both strata."""

    def __init__(self, strata: Strata) -> None:
        self._strata = strata
        self.any_right = any(each.right for each in (*strata.whole, *strata.drawn))
        self.tested = sorted({*(each.score for each in (*strata.whole, *strata.drawn)), 0.0}, reverse=True)
        self._known = sorted(strata.above)

    def passing(self, threshold: float) -> int:
        """Return how many records reach the threshold."""
        return sum(each.score >= threshold for each in self._strata.whole) + self._others_above(threshold)

    def drawn_above(self, threshold: float) -> int:
        """Return how many of the records that were drawn reach the threshold."""
        return sum(each.score >= threshold for each in self._strata.drawn)

    def others_above(self, threshold: float) -> int:
        """Return how many records outside of the whole stratum reach it."""
        return self._others_above(threshold)

    def _others_above(self, threshold: float) -> int:
        """A threshold between two scores of the sample is taken for the next higher one, and one above all for none."""
        if threshold <= 0.0:
            return self._strata.others
        place = bisect.bisect_left(self._known, threshold)
        return self._strata.above[self._known[place]] if place < len(self._known) else 0

    def hits(self, threshold: float, delta: float) -> tuple[int, int]:
        """Return bounds of how many that reach the threshold are right to, each missed with probability `delta`."""
        whole = [each.right for each in self._strata.whole if each.score >= threshold]
        drawn = [bool(each.right) for each in self._strata.drawn if each.score >= threshold]
        low, high = bounds(sum(drawn), len(drawn), self._others_above(threshold), delta)
        return low + sum(each is True for each in whole), high + sum(each is not False for each in whole)

    def missed(self, threshold: float, delta: float) -> tuple[int, int]:
        """Return the same bounds of the records that are right and do not reach it."""
        whole = [each.right for each in self._strata.whole if each.score < threshold]
        drawn = [bool(each.right) for each in self._strata.drawn if each.score < threshold]
        left = self._strata.others - self._others_above(threshold)
        low, high = bounds(sum(drawn), len(drawn), left, delta)
        return low + sum(each is True for each in whole), high + sum(each is not False for each in whole)

    def estimate(self, threshold: float) -> tuple[float, float]:
        """Return the most likely numbers of records that are right and reach it, and that are right and do not."""
        found = []
        for above in (True, False):
            whole = [each.right for each in self._strata.whole if (each.score >= threshold) is above]
            said = [each for each in whole if each is not None]
            drawn = [bool(each.right) for each in self._strata.drawn if (each.score >= threshold) is above]
            others = self._others_above(threshold)
            others = others if above else self._strata.others - others
            of_whole = len(whole) * sum(said) / len(said) if said else 0.0
            found.append(of_whole + (others * sum(drawn) / len(drawn) if drawn else 0.0))
        return found[0], found[1]


def _for_precision(counted: _Counted, target: float, delta: float) -> float | None:
    level = delta / len(_STARTS)
    enough = math.ceil(math.log(level) / math.log(target)) if 0 < target < 1 else 1
    accepted: list[float] = []
    for share in _STARTS:
        for threshold in counted.tested:
            passing, others = counted.passing(threshold), counted.others_above(threshold)
            if passing < share * counted.passing(0.0) or counted.drawn_above(threshold) < min(enough, others):
                continue  # the chain has not begun: no labels are looked at
            if counted.hits(threshold, level)[0] < target * passing:
                break
            accepted.append(threshold)
    return min(accepted, default=None)


def _for_recall(counted: _Counted, target: float, delta: float) -> float | None:
    accepted = None
    for threshold in reversed(counted.tested):
        hits, _ = counted.hits(threshold, delta / 2)
        _, missed = counted.missed(threshold, delta / 2)
        if hits < target * (hits + missed):
            break
        accepted = threshold
    return accepted


def bounds(hits: int, drawn: int, records: int, delta: float) -> tuple[int, int]:
    """Return how many of `records` are right at least and at most, where `hits` of `drawn` are that were drawn from
    them: each bound is missed with a probability of at most `delta`. Without draws nothing is known."""
    low, high = 0, records - drawn + hits
    if hits:
        low = _least(hits, drawn, records, delta)
    if hits < drawn:
        high = records - _least(drawn - hits, drawn, records, delta)
    return low, max(low, high)


def _least(hits: int, drawn: int, records: int, delta: float) -> int:
    """Return the lowest number of right ones that would bring so many hits with a probability above `delta`."""
    low, high = hits, records - drawn + hits
    while low < high:
        middle = (low + high) // 2
        if at_least(hits, drawn, middle, records) > delta:
            high = middle
        else:
            low = middle + 1
    return low


def at_least(hits: int, drawn: int, right: int, records: int) -> float:
    """Return the probability of at least so many hits where `drawn` are drawn from `records`, of which `right` are
    right: the upper tail of the hypergeometric distribution."""
    first, last = max(hits, drawn - (records - right), 0), min(drawn, right)
    if first <= max(0, drawn - (records - right)):
        return 1.0
    whole = _log_choose(records, drawn)
    return min(
        1.0,
        math.fsum(
            math.exp(_log_choose(right, each) + _log_choose(records - right, drawn - each) - whole)
            for each in range(first, last + 1)
        ),
    )


def _log_choose(of: int, number: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(number + 1) - math.lgamma(of - number + 1)
