"""Adds up what model calls took, per record and per batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls, tokens, USD and the models' time. What another record or run had paid for counts as a call from cache, and
    costs nothing."""

    calls_made: int = 0
    calls_from_cache: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    answered: float = 0.0
    """The number of seconds from question to answer, of the calls made."""

    def __add__(self, other: Spent) -> Spent:
        if self is NOTHING:
            return other
        return Spent(
            self.calls_made + other.calls_made,
            self.calls_from_cache + other.calls_from_cache,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cost + other.cost,
            self.answered + other.answered,
        )


NOTHING = Spent()
