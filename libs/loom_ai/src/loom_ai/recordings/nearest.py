"""Finds the recorded question that is nearest to one without an answer, and says how the two differ."""

from __future__ import annotations

import difflib
from collections import Counter

from loom_ai.recordings.cassette import Cassette

_MOST_LINES = 4
_LONGEST_LINE = 120


def nearest(cassette: Cassette, purpose: str, question: str) -> str:
    """Return a sentence with the lines that were taken away and added, first those taken away; empty where nothing like
    it is recorded. A question that differs in no line differs in its model, parameters or output shape."""
    lines = question.splitlines()
    counted = Counter(lines)
    best, shared = None, 0
    for recording in cassette.recordings.values():
        if recording.purpose == purpose and recording.question:
            before = recording.question[-1][1].splitlines()
            common = sum((counted & Counter(before)).values())
            if common > shared or (common == shared and before == lines):
                best, shared = before, common
    if best is None or 2 * shared < len(lines):
        return ""
    if best == lines:
        return " The prompt is recorded as it is: another model, parameter or output shape was asked for."
    changes = [line for line in difflib.ndiff(best, lines) if line[:2] in ("- ", "+ ")]
    shown = "; ".join(line[:_LONGEST_LINE] for line in changes[:_MOST_LINES])
    more = f"; and {len(changes) - _MOST_LINES} more" if len(changes) > _MOST_LINES else ""
    return f" The nearest recorded question has other lines (- recorded, + now): {shown}{more}."
