"""Checks that a translation keeps what a program puts into the text."""

from __future__ import annotations

import re
from typing import Any


def kept(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score 1 where a translation has the placeholders of its text, each as often, else 0 with those that differ."""
    there, wanted = (sorted(re.findall(r"\{\w+\}", text)) for text in (output["german"], record["english"]))
    if there == wanted:
        return 1.0, "the placeholders are the same"
    return 0.0, f"it has {', '.join(there) or 'none'}, and the text {', '.join(wanted) or 'none'}"
