"""Looks for praise that says nothing."""

from __future__ import annotations

from typing import Any

EMPTY = ("amazing", "best", "perfect", "unique", "must-have")


def plain(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score 1 where a description is free of empty praise, else 0 with the words that were found."""
    words = output["description"].lower().replace("!", " ").replace(".", " ").replace(",", " ").split()
    found = [each for each in EMPTY if each in words]
    return (0.0, f"it says {', '.join(found)}") if found else (1.0, "it is plain")
