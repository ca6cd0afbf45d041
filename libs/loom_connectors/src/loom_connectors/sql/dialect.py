"""Defines what a `LedgerDestination` needs of a SQL system: a port, which a file `dialect.py` of each system
implements.

A `TableDialect` stands for one database. It opens a connection for a piece of work, which gets it as a `TableSession`.
Errors of the driver pass through the work as they are, so that `TableDialect.fault` can tell what they mean; those that
nobody caught leave `run` and `look` as errors of Loom."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import NameRules, TableName

Result = TypeVar("Result")


class Fault(StrEnum):
    """Lists what an error of the driver may be about."""

    ROW = "row"
    """The values of a row were refused: a constraint, a type, a trigger. Other rows can be loaded."""
    DESTINATION = "destination"
    """The table or the database: the same statement would fail again."""
    TRANSIENT = "transient"
    """The same statement may succeed later: a lost connection, a lock, a limit of time."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Says what the user of a connection may do."""

    read_only: bool
    exists: bool
    """Tells whether the table is there."""
    may_write: bool
    """Tells whether the table can be written in the mode that was asked for; true where it is not there."""
    may_create: bool
    """Tells whether tables can be created beside it."""
    may_alter: bool
    """Tells whether columns of the table can be added and widened; true where it is not there."""


@dataclass(frozen=True, slots=True)
class Target:
    """Represents the table that rows of a batch are written to: the destination's, or the staging table of a replacing
    run."""

    table: TableName
    columns: Mapping[str, str]
    """Holds for each column its declared type or another name by which the dialect knows how to write its values."""
    key: tuple[str, ...]
    """Holds the columns that a row is updated by; empty where rows are only added."""
    types: Mapping[str, str]
    """Holds the type of each column, as the system writes it."""


class TableSession(Protocol):
    """Represents one connection to the database. Every method may raise the driver's errors."""

    def transaction(self, statement_seconds: float | None = None) -> AbstractAsyncContextManager[None]:
        """Commits what is done inside, or nothing of it. Each statement may take `statement_seconds`, where given."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Open a part of a transaction that an error undoes alone. Constraints that would be checked at the end of the
        transaction are checked at once from here on, where the system has such constraints and can do so."""
        ...

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement. Returns how many rows it inserted, changed or deleted."""
        ...

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """Fetch the rows that a query returns."""
        ...

    async def rights(self, table: TableName, mode: Mode) -> Rights:
        """Return what the user may do with the table. Raises Loom's own errors for a file that cannot be written."""
        ...

    async def columns(self, table: TableName) -> dict[str, str]:
        """Return the columns that can be written, in their order, as `Target.columns` holds them. Empty where there is
        no table."""
        ...

    async def types(self, table: TableName) -> dict[str, str]:
        """Return the same columns with their types, as the system writes them."""
        ...

    async def computed(self, table: TableName) -> Mapping[str, str]:
        """Return the columns that only the database writes, as far as it tells, with how it fills each in."""
        ...

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        """Tell whether an upsert can go by these columns: in most systems, where they are those of the primary key or
        of a unique index."""
        ...

    async def create_ledger(self, ledger: TableName) -> None:
        """Create, where it is missing, a table with the columns `run_id` and `batch_id` (text, together the primary
        key), `loaded` (integer), `failed` (JSON) and `loaded_at` (the moment of the insert)."""
        ...

    async def create_table(self, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
        """Create the table, with the primary key `key` where there is one. Another who creates it at the same time
        makes neither of the two fail."""
        ...

    async def add_columns(self, table: TableName, kinds: Mapping[str, Kind]) -> None:
        """Add the columns, which may be null, where they are missing: in the session's transaction, before it writes
        rows, or, where the system cannot do so, at once. Another who adds them at the same time makes neither fail."""
        ...

    async def widen(self, table: TableName, needs: Mapping[str, Needs]) -> None:
        """Give each column whose type does not take its values one that takes them as well as all that it holds, where
        there is one, as `add_columns` does. Raises `DestinationError` for a column that cannot be altered."""
        ...

    async def create_like(self, staging: TableName, table: TableName) -> None:
        """Create, where it is missing, an empty table with the columns and the constraints of `table`."""
        ...

    async def enter(self, ledger: TableName, run_id: str, loaded: Mapping[str, int]) -> set[str]:
        """Insert a row of the ledger for each name of `loaded` (`batch_id`) that has none, with that number of rows and
        nothing failed. Returns the names that had none. Waits for another transaction that is inserting one of
        them."""
        ...

    async def write(self, target: Target, rows: Sequence[Row]) -> None:
        """Insert the rows, or update those whose key is there, as fast as the system can. Of rows with one key, the
        last counts. Raises the driver's error, or `UnfitValue`, where one of them is refused."""
        ...

    async def copy_rows(self, source: TableName, target: TableName) -> None:
        """Insert all rows of one table into another that has the same columns."""
        ...


Work = Callable[[TableSession], Coroutine[Any, Any, Result]]
"""Says what is done with a connection."""


class TableDialect(Protocol):
    """Represents one database of a SQL system: its connections, its way to write SQL, and what its errors mean."""

    @property
    def shown(self) -> str:
        """Return the URL of the database, without credentials."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Return the errors that the driver raises for a statement, and `UnfitValue`."""
        ...

    @property
    def names(self) -> NameRules:
        """Return which names of tables and columns the system can tell apart."""
        ...

    @property
    def one_writes(self) -> bool:
        """Tell whether one transaction at a time can write, so that a second one would only wait for it."""
        ...

    def fault(self, error: Exception) -> Fault:
        """Return what one of `errors` is about."""
        ...

    def failed_row(self, row: Row, error: Exception) -> FailedRow:
        """Return the row that was refused with `error`, with the reason in the database's own terms."""
        ...

    def quoted(self, name: str) -> str:
        """Quote an identifier within a statement."""
        ...

    def marker(self, number: int) -> str:
        """Return the place of the value with this number, counted from 1, within a statement."""
        ...

    def is_one_of(self, number: int) -> str:
        """Return the end of a condition on a text column that says that it is one of the names in `name_list` of this
        number."""
        ...

    def name_list(self, names: Sequence[str]) -> object:
        """Names as the one value that `is_one_of` takes."""
        ...

    def type_of(self, kind: Kind, *, in_key: bool = False) -> str:
        """Return the type that a column of a kind gets."""
        ...

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        """Return the statement by which a person creates the unique index that an upsert needs."""
        ...

    def renamed(self, table: TableName, name: str) -> str:
        """Return the statement that gives a table another name, in the same schema."""
        ...

    async def run(self, work: Work[Result], seconds: float) -> Result:
        """Do `work` with a connection that writes, within so many seconds."""
        ...

    async def look(self, work: Work[Result]) -> Result:
        """Do `work` with a connection that only reads. Creates nothing, not even a file."""
        ...

    async def close(self) -> None:
        """Close the connections to the database that rows are loaded into."""
        ...
