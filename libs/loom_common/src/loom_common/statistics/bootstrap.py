"""Computes intervals by the bootstrap: figures are computed again from records drawn with replacement.

Efron, B. (1979): Bootstrap methods: another look at the jackknife. The intervals are percentile intervals. Everything
that is drawn follows from a seed, so that the same records give the same interval."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from loom_common.statistics.intervals import LEVEL, Interval

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

RESAMPLES = 1_000
FEWEST = 200
MOST_DRAWS = 750_000
"""Draws of single records beyond which there are fewer resamples, so that an interval takes about half a second."""


def resamples_of(records: int) -> int:
    """Return how often so many records are drawn anew, one by one."""
    return max(FEWEST, min(RESAMPLES, MOST_DRAWS // max(1, records)))


def of_records(
    records: Sequence[T], figure: Callable[[Sequence[T]], float | None], seed: int = 0, level: float = LEVEL
) -> Interval | None:
    """Return the interval of a figure of records; None where there are none, or too seldom a figure."""
    if not records:
        return None
    chance = random.Random(seed)  # noqa: S311 - no secret is made of it
    found = [figure(chance.choices(records, k=len(records))) for _ in range(resamples_of(len(records)))]
    return percentiles(found, level)


def of_counts(
    counts: Mapping[K, int],
    figures: Callable[[Mapping[K, int]], Mapping[str, float | None]],
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Interval | None]:
    """Return the intervals of figures that follow from counts of equal records. The counts of records that are drawn
    with replacement have a multinomial distribution, which is drawn from directly: this takes as long for a million
    records as for a hundred."""
    total = sum(counts.values())
    if not total:
        return {}
    chance = random.Random(seed)  # noqa: S311 - no secret is made of it
    cells = sorted(((key, number) for key, number in counts.items() if number), key=repr)
    drawn = [figures(dict(_multinomial(cells, total, chance))) for _ in range(RESAMPLES)]
    return {name: percentiles([each.get(name) for each in drawn], level) for name in figures(counts)}


def percentiles(found: Sequence[float | None], level: float = LEVEL) -> Interval | None:
    """Return the interval between the percentiles of what was found; None where half of it is missing."""
    known = sorted(value for value in found if value is not None)
    if len(known) * 2 < max(1, len(found)):
        return None
    aside = (1 - level) / 2
    return Interval(_quantile(known, aside), _quantile(known, 1 - aside))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _multinomial(cells: Sequence[tuple[K, int]], total: int, chance: random.Random) -> list[tuple[K, int]]:
    left, weight, drawn = total, total, []
    for key, number in cells:
        hits = binomial(left, number / weight, chance) if weight > number else left
        drawn.append((key, hits))
        left, weight = left - hits, weight - number
    return drawn


_FLIPPED = 16


def binomial(number: int, share: float, chance: random.Random) -> int:
    """Draw how many of `number` come true where each does with probability `share`.

    Of so many uniform numbers, the one in the middle has a beta distribution; it tells on which side of `share` half of
    them lie (Relles, D. A., 1972: A simple algorithm for generating binomial random variables when n is large)."""
    hits = 0
    while number > _FLIPPED and 0.0 < share < 1.0:
        middle = (number + 1) // 2
        at = chance.betavariate(middle, number + 1 - middle)
        if at <= share:
            hits += middle
            number -= middle
            share = (share - at) / (1 - at) if at < 1 else 0.0
        else:
            number = middle - 1
            share /= at
    if share >= 1.0:
        return hits + number
    return hits + sum(chance.random() < share for _ in range(number))
