"""Formats a number with its noun, for sentences that people read."""

from __future__ import annotations


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """Return `1 record`, `2 records` or `1,488 records`. `plural` is given where it is not the noun with an `s`."""
    return f"{number:,.0f} {noun if number == 1 else plural or noun + 's'}"
