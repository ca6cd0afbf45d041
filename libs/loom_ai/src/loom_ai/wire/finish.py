"""How an answer ended: the few ways that leave it whole, by protocol, and the names of all others. Pure.

What is on no list is not taken for a whole answer: it is quarantined under its own name, because nobody knows what is
missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WHOLE = "stop"
CUT_OFF = "length"
REFUSED = "refusal"
FILTERED = "content_filter"
BEYOND_WINDOW = "context_window_exceeded"
UNUSABLE = "unusable"
"""No answer of its protocol: what came instead is the text."""

_LONGEST = 40


def ended(reason: Any, known: Mapping[str, str]) -> str:
    """How an answer ended that an endpoint says of it `reason`: by its protocol's list of `known` words (in small
    letters), else `finish_` and the endpoint's own word. Where it says nothing, the answer is taken to be whole."""
    if reason is None or reason == "":
        return WHOLE
    if not isinstance(reason, str):
        return "finish_unknown"
    word = reason.strip().lower()
    if (name := known.get(word)) is not None:
        return name
    return f"finish_{re.sub(r'[^a-z0-9]+', '_', word)[:_LONGEST].strip('_') or 'unknown'}"
