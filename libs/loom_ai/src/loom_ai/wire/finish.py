"""Defines Loom's names for how an answer ended. It does no I/O.

Each protocol lists the few reasons that leave an answer whole. An answer that ended for any other reason is quarantined
under that reason, because nobody knows what it lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WHOLE = "stop"
CUT_OFF = "length"
REFUSED = "refusal"
FILTERED = "content_filter"
BEYOND_WINDOW = "context_window_exceeded"
TOOLS = "tool_calls"
"""The model asks for tools. The answer's text is what `loom_ai.wire.tool_turns` writes."""
UNUSABLE = "unusable"
"""The response holds no answer of its protocol. The answer's text is the beginning of what came instead."""

_LONGEST = 40


def finish_reason_of(reason: Any, known: Mapping[str, str]) -> str:
    """Translate an endpoint's finish `reason` into Loom's name for it.

    `known` maps the protocol's own reasons, in lower case, to Loom's names. Any other reason becomes `finish_` and that
    reason. An answer without a reason counts as whole."""
    if reason is None or reason == "":
        return WHOLE
    if not isinstance(reason, str):
        return "finish_unknown"
    word = reason.strip().lower()
    if (name := known.get(word)) is not None:
        return name
    return f"finish_{re.sub(r'[^a-z0-9]+', '_', word)[:_LONGEST].strip('_') or 'unknown'}"
