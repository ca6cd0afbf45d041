"""Compares two versions of a text."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from loom_common.domain.json_values.shown import Shown


@dataclass(frozen=True, slots=True)
class TextDifference(Shown):
    """Holds the lines in which two versions of a text differ."""

    before: str
    """The name of the first version."""
    after: str
    lines: Sequence[str]
    """Is a unified diff, without line ends; empty where the two are the same text."""


def difference(before: str, first: str, after: str, second: str) -> TextDifference:
    """Return how the text `second` of the version `after` differs from the text `first` of the version `before`."""
    lines = difflib.unified_diff(first.splitlines(), second.splitlines(), before, after, lineterm="")
    return TextDifference(before, after, list(lines))
