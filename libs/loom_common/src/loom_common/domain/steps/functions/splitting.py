"""Splits texts into parts that overlap. Pure: the same text always comes to the same parts."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ENDS = tuple(map(re.compile, (r"\n\s*\n", r"(?<=[.!?])\s", r"\s")))
_WORD = re.compile(r"\S+")
_LATEST = 0.2
"""A part ends within the last fifth of its size, where something ends there: a paragraph rather than a sentence, and a
sentence rather than a word."""


def by_characters(text: str, size: int, overlap: int) -> Iterator[str]:
    """Yield parts of at most `size` characters. Each repeats the last `overlap` characters of the one before."""
    begin = 0
    while begin < len(text):
        end = len(text) if len(text) - begin <= size else _end(text, begin, size, overlap)
        if (part := text[begin:end]).strip():
            yield part
        if end == len(text):
            return
        begin = end - overlap


def by_words(text: str, size: int, overlap: int) -> Iterator[str]:
    """Yield parts of at most `size` words. Each repeats the last `overlap` words of the one before."""
    words = [found.span() for found in _WORD.finditer(text)]
    begin = 0
    while begin < len(words):
        end = min(begin + size, len(words))
        yield text[words[begin][0] : words[end - 1][1]]
        if end == len(words):
            return
        begin = end - overlap


def _end(text: str, begin: int, size: int, overlap: int) -> int:
    """Return where a part ends: every part goes further than the one before it."""
    first = begin + max(overlap + 1, int(size * (1 - _LATEST)))
    for pattern in _ENDS:
        if ends := [found.end() for found in pattern.finditer(text, first, begin + size)]:
            return ends[-1]
    return begin + size
