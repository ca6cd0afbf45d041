"""Numbers and their nouns, in the sentences that people read."""

from __future__ import annotations


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """`1 record`, `2 records`, `1,488 records`: thousands apart. `plural` where it is not the noun and an `s`."""
    return f"{number:,.0f} {noun if number == 1 else plural or noun + 's'}"
