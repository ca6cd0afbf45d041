"""Defines what a `SqlLookup` needs of a SQL system: a part of what a `SourceDialect` has."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from loom_connectors.sql.reading.source_dialect import ReadColumn

Result = TypeVar("Result")


class LookupSession(Protocol):
    """Represents one connection that reads. Every method may raise the driver's errors."""

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        """Return the columns of a query, in their order."""
        ...

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Fetch the rows that a query returns."""
        ...


LookupWork = Callable[[LookupSession], Coroutine[Any, Any, Result]]


class LookupDialect(Protocol):
    """Represents one database that records are looked up in, and its way to write SQL."""

    @property
    def shown(self) -> str:
        """Return the URL of the database, without credentials."""
        ...

    def quoted(self, name: str) -> str:
        """Quote an identifier within a statement."""
        ...

    def marker(self, number: int) -> str:
        """Return the place of the value with this number, counted from 1, within a statement."""
        ...

    def written(self, query: str) -> str:
        """Return a user's query as it may stand within a statement that has markers."""
        ...

    def limited(self, rows: int) -> str:
        """Return the end of a query without an order that gives so many rows at most."""
        ...

    def key(self, column: ReadColumn, sql: str) -> str:
        """Return SQL by which a column is compared."""
        ...

    def key_value(self, column: ReadColumn, marker: str) -> str:
        """Return SQL for a value that was bound as text, comparable to what `key` returns."""
        ...

    async def read(self, work: LookupWork[Result], seconds: float) -> Result:
        """Do `work` with a connection that only reads, within so many seconds. Raises errors of Loom."""
        ...

    async def close(self) -> None:
        """Close the connections to the database that records are looked up in."""
        ...
