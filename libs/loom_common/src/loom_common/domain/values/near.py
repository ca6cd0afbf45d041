"""Finds the known word that a misspelled one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the entry of `known` that is most similar to `word`, ignoring case; None where none is similar."""
    by_lower = {each.lower(): each for each in known}
    matches = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None
