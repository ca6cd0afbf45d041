"""Chooses where a cascade asks its dear model, so that its outputs are right often enough: with a stated probability,
from labelled records that were drawn at random.

A cascade takes what its cheap tier says of a record, or asks the dear model instead. Each way to decide between the two
is tested against the labels by the exact binomial test, in an order that is fixed before a label is looked at: from
asking the dear model always, step by step, to asking it never. A chain of tests ends at the first that fails
(fixed-sequence testing), so the last that was accepted misses the target with a probability of at most delta:
Angelopoulos, Bates, Candes, Jordan, Lei (2021): Learn then test. What is tested for precision and recall is as in Kang,
Gan, Bailis, Hashimoto, Zaharia (2020): Approximate selection with guarantees using proxies (SUPG). With several classes
a precision or recall has to hold for each of them, and is tested for each with the whole of delta, which an
intersection-union test may do (Berger, 1982)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from loom_common.statistics.intervals import at_least

CONFIDENCES = tuple(sorted({*(k / 100 for k in range(101)), *(k / 1000 for k in range(950, 1000))}, reverse=True))
"""The thresholds of a confidence that are tested, the highest first. They do not depend on the records, and are denser
near 1, where models state most of their confidences."""
_SHAPES = ((1, 1), (2, 1), (1, 2), (1, 0), (0, 1))
"""Says how far a band of scores is narrowed from above and from below in each step, by chain. Chains divide delta."""
_STEPS = 100
_ASKS_ALWAYS = 2.0
"""A threshold that no confidence and no score reaches."""


class CascadeGoal(StrEnum):
    """Says what the outputs of a cascade have to hold."""

    ACCURACY = "accuracy"
    """The share of the records whose output is right."""
    PRECISION = "precision"
    """The share of the outputs of each class that are right."""
    RECALL = "recall"
    """The share of the records of each class whose output is right."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Says what is promised of a cascade."""

    goal: CascadeGoal
    target: float
    delta: float
    """The highest probability with which the promise is broken."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Holds what both tiers said of a labelled record."""

    label: str
    cheap: str | None
    """None where the cheap tier said nothing of use: the dear one is asked."""
    signal: float | None
    """Says how sure the cheap tier is, or holds its score, from 0 to 1."""
    dear: str | None
    """None where the dear model gave no output, which counts as wrong."""


@dataclass(frozen=True, slots=True)
class Band:
    """Says of which signals the dear model is asked: of those at or above `low` and below `high`. What a cheap tier
    says with a confidence is kept from `high` up, and `low` is 0. A score from `high` up is a pass, and one below `low`
    a fail."""

    high: float
    low: float = 0.0

    def asks(self, signal: float | None) -> bool:
        """Tell whether the dear model is asked about a record with this signal."""
        return signal is None or not 0.0 <= signal <= 1.0 or self.low <= signal < self.high

    def asks_of(self, each: Tried) -> bool:
        """Tell whether the dear model is asked about a labelled record."""
        return each.cheap is None or self.asks(each.signal)


_NEVER_ASKING = Band(0.0)
"""Asks about no record but those whose cheap tier says nothing of use."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Holds a band, and what it comes to on the labelled records."""

    band: Band
    asked: int
    """The number of records that the dear model is asked about."""
    right: int
    records: int

    @property
    def share_asked(self) -> float:
        """Return the share of the records that the dear model is asked about."""
        return self.asked / self.records


def by_confidence(tried: Sequence[Tried], promise: Promise, only: str | None = None) -> Choice | None:
    """Return the lowest confidence from which the cheap tier may be believed, so that the promise holds; None where the
    labels show that not even of the dear model alone. With `only`, a precision or recall is that of this class."""
    return _chosen(tried, promise, [_BY_CONFIDENCE], lambda each, _: each.cheap, only)


def by_score(tried: Sequence[Tried], promise: Promise, passes: str, fails: str) -> Choice | None:
    """Return the narrowest band of scores in which a judge has to be asked, so that the promise about the verdicts
    `passes` and `fails` holds; None where the labels show that of no band. Precision and recall are those of a pass."""

    def said(each: Tried, band: Band) -> str | None:
        return passes if each.signal is not None and each.signal >= band.high else fails

    only = None if promise.goal is CascadeGoal.ACCURACY else passes
    return _chosen(tried, promise, _BY_SCORE, said, only)


def at(tried: Sequence[Tried], band: Band, said: Callable[[Tried, Band], str | None] | None = None) -> Choice:
    """Return what a band comes to on labelled records."""
    asked = [band.asks_of(each) for each in tried]
    right = sum(
        (each.dear if ask else each.cheap if said is None else said(each, band)) == each.label
        for each, ask in zip(tried, asked, strict=True)
    )
    return Choice(band, sum(asked), right, len(tried))


def fewest(promise: Promise) -> int:
    """Return how many records, all of them right, show that a promise about them holds."""
    records = 1
    while _needed(records, promise.target, promise.delta) > records:
        records += 1
    return records


def _chosen(
    tried: Sequence[Tried],
    promise: Promise,
    chains: Sequence[Sequence[Band]],
    said: Callable[[Tried, Band], str | None],
    only: str | None,
) -> Choice | None:
    """Return the last band that was accepted in a chain, and of several chains the one that asks the fewest."""
    ordered = sorted((each for each in tried if not _NEVER_ASKING.asks_of(each)), key=_signal)
    accepted = []
    for chain in chains:
        books = _Books(tried, promise, promise.delta / len(chains), only)
        first, last = 0, len(ordered)  # the dear model is asked about the records between them
        found, looked_at = None, -1
        for band in chain:
            while last > first and _signal(ordered[last - 1]) >= band.high:
                last -= 1
                books.kept(ordered[last], said(ordered[last], band))
            while first < last and _signal(ordered[first]) < band.low:
                books.kept(ordered[first], said(ordered[first], band))
                first += 1
            # Where as many are asked about as by the band before, every output is what it was.
            if looked_at != last - first and not books.hold():
                break
            found, looked_at = band, last - first
        if found is not None:
            accepted.append(at(tried, found, said))
    return min(accepted, key=lambda each: each.asked, default=None)


def _signal(each: Tried) -> float:
    return -1.0 if each.signal is None else each.signal


class _Books:
    """Counts the right outputs of a cascade, of all records and of each class, while it asks its dear model about ever
    fewer of them."""

    def __init__(self, tried: Sequence[Tried], promise: Promise, delta: float, only: str | None) -> None:
        self._goal, self._target, self._delta = promise.goal, promise.target, delta
        self._records = len(tried)
        self._by_label = Counter(each.label for each in tried)
        self._by_output = Counter(each.dear for each in tried)
        self._right = Counter(each.label for each in tried if each.dear == each.label)
        self._classes = sorted(self._by_label) if only is None else [only]

    def kept(self, each: Tried, output: str | None) -> None:
        """Take `output` for the record, in the place of what the dear model says."""
        if output != each.dear:
            self._right[each.label] += (output == each.label) - (each.dear == each.label)
            self._by_output[each.dear] -= 1
            self._by_output[output] += 1

    def hold(self) -> bool:
        """Tell whether the labels show that the promise holds."""
        if self._goal is CascadeGoal.ACCURACY:
            pairs = [(sum(self._right.values()), self._records)]
        else:
            of_class = self._by_output if self._goal is CascadeGoal.PRECISION else self._by_label
            pairs = [(self._right[name], of_class[name]) for name in self._classes]
        return all(right >= _needed(total, self._target, self._delta) for right, total in pairs)


@lru_cache(maxsize=65_536)
def _needed(total: int, target: float, delta: float) -> int:
    """Return the fewest hits of `total` that are likely by at most `delta` where the true share is below `target`; one
    more than there are where no number is."""
    low, high = 0, total + 1
    while low < high:
        middle = (low + high) // 2
        if at_least(middle, total, target) <= delta and middle <= total:
            high = middle
        else:
            low = middle + 1
    return low if low <= total else total + 1


def _narrowing(from_above: int, from_below: int) -> Iterator[Band]:
    """Yield bands of scores, each within the one before, from one that holds every score to none."""
    step = 1 / _STEPS
    yield Band(_ASKS_ALWAYS)
    for number in range(_STEPS + 1):
        high, low = round(1 - number * step * from_above, 6), round(number * step * from_below, 6)
        if low > high:
            return
        yield Band(high, low)


_BY_CONFIDENCE = [Band(_ASKS_ALWAYS), *map(Band, CONFIDENCES)]
_BY_SCORE = [list(_narrowing(*shape)) for shape in _SHAPES]
