"""Finds which rows are candidates for a record, by the words that both have. Pure.

A word that few rows have says more than one that many have, as its weight is log(1 + rows / rows with the word)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_WORD = re.compile(r"\w+")
_LONGEST_WORD = 40
_MOST_WORDS = 64
"""The most words of a row that are compared."""
MOST_LOOKED_FOR = 8
"""The most words of a record that are looked for: its rarest."""
COMMON = 1_000
"""A word that more rows have is looked for only where a record has no rarer one, and then in so many rows."""
Posting = tuple[int, int]
"""Is the number of a row that has a word, and how many words that row has."""


def words_of(values: Sequence[Any]) -> tuple[str, ...]:
    """Return the words of some values, each once, in the order in which they come."""
    found: dict[str, None] = {}
    for value in values:
        text = value if isinstance(value, str) else "" if value is None else str(value)
        for word in _WORD.findall(text.casefold()):
            found.setdefault(word[:_LONGEST_WORD])
            if len(found) == _MOST_WORDS:
                return tuple(found)
    return tuple(found)


def looked_for(words: Sequence[str], counts: Mapping[str, int]) -> list[str]:
    """Return the words of a record that are looked for, the rarest first. `counts` says how many rows have each."""
    known = sorted((each for each in words if counts.get(each)), key=lambda each: (counts[each], each))
    return [each for each in known if counts[each] <= COMMON][:MOST_LOOKED_FOR] or known[:1]


def ranked(
    words: Sequence[str], counts: Mapping[str, int], total: int, postings: Mapping[str, Sequence[Posting]], most: int
) -> list[int]:
    """Return the numbers of the rows that are most like a record, best first: those that share the words of most
    weight, then those with fewer words, then the earlier ones. `postings` holds the rows of the words."""
    scores: dict[int, float] = {}
    sizes: dict[int, int] = {}
    for word in sorted(words):
        weight = math.log1p(total / counts[word])
        for number, size in postings.get(word, ()):
            scores[number] = scores.get(number, 0.0) + weight
            sizes[number] = size
    return sorted(scores, key=lambda number: (-scores[number], sizes[number], number))[:most]
