"""Checks that an answer cites passages that were given to the model."""

from __future__ import annotations

from typing import Any


def exist(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score 1 where every cited number is that of a passage, and there is one unless the passages do not say."""
    absent = [number for number in output["cited"] if not 1 <= number <= len(record["passages"])]
    if absent:
        return 0.0, f"there is no passage {', '.join(map(str, absent))}"
    if not output["cited"] and "do not say" not in output["answer"]:
        return 0.0, "it cites nothing"
    return 1.0, "every citation is a passage"
