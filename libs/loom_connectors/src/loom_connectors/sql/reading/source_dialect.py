"""Defines what a `QuerySource` needs of a SQL system: a port, which a file `source_dialect.py` of each system
implements."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from loom_connectors.sql.reading.mark import MarkColumn
from loom_connectors.sql.table_name import TableName

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """Describes a column of a query."""

    name: str
    type: str
    """Holds the SQL type of the column."""
    form: Callable[[str], str]
    """Returns SQL for the form in which its values are fetched, given SQL for the column."""
    read: Callable[[Any], Any] | None
    """Returns the JSON value of a fetched value that is not NULL; None where that is the value itself. Raises
    `ValueError` for a value that cannot be used."""
    whole: bool = False
    """Tells whether it holds whole numbers."""


@dataclass(frozen=True, slots=True)
class Order:
    """Says how the rows of a table are ordered where `extract.key` names no key."""

    columns: tuple[str, ...]
    hidden: str | None = None
    """SQL for a row's number, which is then the only column, and is no field of the record."""


class SourceSession(Protocol):
    """Represents one connection that reads. Every method may raise the driver's errors."""

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        """Return the columns of a query, in their order."""
        ...

    async def order(self, table: TableName) -> Order | None:
        """Return an order of the table's rows that no two share, and that lasts; None where there is none. Raises
        `SourceError` where there is no table."""
        ...

    async def is_unique(self, table: TableName, keys: Sequence[str]) -> bool:
        """Tell whether no two rows of the table can have the same `keys`, and none can be NULL."""
        ...

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Fetch the rows that a query returns."""
        ...


Work = Callable[[SourceSession], Coroutine[Any, Any, Result]]
"""Says what is done with a connection."""


class SourceDialect(Protocol):
    """Represents one database that is read, and its way to write SQL."""

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

    def row_text(self, row: str, names: Sequence[str]) -> str:
        """Return SQL for a text that stands for all values of a row, and sorts by bytes."""
        ...

    def compared(self, columns: Sequence[str], comparison: str, values: Sequence[str]) -> str:
        """Return SQL for the comparison, `>=` or `<`, of key columns with values, the first of which counts most."""
        ...

    def limited(self, rows: int) -> str:
        """Return the end of an ordered query that gives so many rows at most."""
        ...

    def key(self, column: ReadColumn, sql: str) -> str:
        """Return SQL by which rows are ordered and compared."""
        ...

    def key_form(self, column: ReadColumn, sql: str) -> str:
        """Return SQL for a key as a cursor holds it: a text or a number."""
        ...

    def key_value(self, column: ReadColumn, marker: str) -> str:
        """Return SQL for a key that a cursor holds, comparable to what `key` returns."""
        ...

    def mark_column(self, column: ReadColumn) -> MarkColumn | None:
        """Return how a mark is compared with a column; None for one whose values do not sort as numbers or times do."""
        ...

    async def read(self, work: Work[Result], seconds: float) -> Result:
        """Do `work` with a connection that only reads, within so many seconds. Raises errors of Loom."""
        ...

    async def close(self) -> None:
        """Close the connections to the database that records are read from."""
        ...
