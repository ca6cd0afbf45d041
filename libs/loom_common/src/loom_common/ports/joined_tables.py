"""Defines the port of the other sources that steps join with, each of which is kept while its run may look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Row = Mapping[str, Any]
"""Holds the columns of a row by their names."""


@dataclass(frozen=True, slots=True)
class JoinedRow:
    """Holds a row of another source."""

    number: int
    """Counts the rows in the order of the source, from 1."""
    key: str | None
    """The hash of the values by which it is found; None where it is not found by values."""
    words: tuple[str, ...]
    """The words by which it is found."""
    content: Row


@dataclass(frozen=True, slots=True)
class JoinedTable:
    """Names a table whose rows are all there."""

    name: str
    version: str
    """Holds a hash of the rows of the table, so that equal sources are kept once."""
    rows: int


class JoinedTables(Protocol):
    """Keeps the rows of other sources, and finds them again. What a method has returned for outlives this process.

    Every method raises `DependencyUnavailable` or `PermanentError` where the store cannot be used."""

    async def table_of(self, scope: str, step: str) -> JoinedTable | None:
        """Return the table that a step of a run joins with; None where none was read yet."""
        ...

    async def begin(self, name: str) -> None:
        """Begin a table, which its reader gives a name of its own."""
        ...

    async def add(self, name: str, rows: Sequence[JoinedRow]) -> None:
        """Add rows to a table that was begun."""
        ...

    async def hold(self, scope: str, step: str, table: JoinedTable, layout: str) -> JoinedTable:
        """Have a step of a run join with this table, whose rows were all added, and return the table that it joins
        with: the first that was held for it, and one that was there before with the same rows and the same `layout`,
        which says by what rows are found. Rows of a table that is not held are dropped."""
        ...

    async def with_keys(self, name: str, keys: Sequence[str], most: int) -> Mapping[str, Sequence[Row]]:
        """Return for each of these keys at most `most` rows that have it, in the order of the source."""
        ...

    async def with_words(
        self, table: JoinedTable, records: Sequence[Sequence[str]], most: int
    ) -> Sequence[Sequence[Row]]:
        """Return for the words of each record at most `most` rows that are most like it, best first."""
        ...

    async def page(self, name: str, after: int, most: int) -> Sequence[Row]:
        """Return at most `most` rows in the order of the source: those after the first `after`."""
        ...

    async def with_numbers(self, name: str, numbers: Sequence[int]) -> Mapping[int, Row]:
        """Return the rows that have these numbers, by their numbers."""
        ...

    async def close(self) -> None:
        """Close the connections of the store."""
        ...
