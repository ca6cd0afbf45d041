"""Defines the port of the values that records of a run have, by which every replica agrees on the first record with a
value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SeenValue:
    """Says that a record has a value."""

    scope: str
    """The run that first read the record. A replay's records are those of the run that kept them back."""
    check: str
    """The stage and the name of the check that compares the values."""
    digest: str
    """The value's hash, 32 hexadecimal digits."""
    record_id: str


class SeenValues(Protocol):
    """Keeps the first record of every value. What a method has returned for outlives this process.

    Every method raises `DependencyUnavailable` or `PermanentError` where the store cannot be used."""

    async def first(self, values: Sequence[SeenValue]) -> Sequence[str]:
        """Enter those values that are not there, and return for each value, in order, the record that was the first to
        have it. Asking again, in any process, gives the same answer."""
        ...

    async def close(self) -> None:
        """Close the connections of the store."""
        ...
