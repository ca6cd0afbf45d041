"""Finds which records of a block are the same entity: how alike two texts are, which pairs are compared, and which
records the pairs join. Pure, and the same whatever the order in which pairs are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

_LENGTH = 3


class Pair(NamedTuple):
    """Names two records of a block by their places, the lesser first, with how alike they are."""

    one: int
    other: int
    alike: float


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return how alike two texts are, from 0 to 1: twice the parts of three characters that both have, divided by
    those of each (Dice's coefficient). `pieces` makes these parts. Two empty texts are not alike."""
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 0.0


def pieces(text: str) -> frozenset[str]:
    """Return the parts of three characters of a text, which begins and ends with spaces; case does not count."""
    words = " ".join(text.casefold().split())
    padded = f"  {words} " if words else ""
    return frozenset(padded[at : at + _LENGTH] for at in range(len(padded) - _LENGTH + 1))


def pairs(texts: Sequence[str], at_least: float, nearest: int | None = None) -> list[Pair]:
    """Return the pairs of texts that are at least so alike, as `chosen` does."""
    parts = [pieces(text) for text in texts]
    found = (
        Pair(one, other, similarity(parts[one], parts[other])) for one, other in combinations(range(len(parts)), 2)
    )
    return chosen(found, at_least, nearest)


def chosen(found: Iterable[Pair], at_least: float, nearest: int | None = None) -> list[Pair]:
    """Return the pairs that are at least so alike, the most alike first. With `nearest` these are only pairs of which
    one is among so many that are most alike the other."""
    alike = sorted((each for each in found if each.alike >= at_least), key=lambda each: (-each.alike, each[:2]))
    if nearest is None:
        return alike
    near, kept = Counter[int](), []
    for each in alike:
        if near[each.one] < nearest or near[each.other] < nearest:
            kept.append(each)
        near.update(each[:2])
    return kept


def entities(records: int, same: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the places of so many records by the entities that they are: two are one entity where pairs lead from one
    to the other. Each entity is in order, and they come in the order of their first records."""
    above = list(range(records))

    def first(at: int) -> int:
        while above[at] != at:
            above[at] = above[above[at]]
            at = above[at]
        return at

    for one, other in same:
        low, high = sorted((first(one), first(other)))
        above[high] = low
    found: dict[int, list[int]] = {}
    for at in range(records):
        found.setdefault(first(at), []).append(at)
    return list(found.values())
