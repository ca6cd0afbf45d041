"""Implements a visit to a server that cannot undo a part of a transaction: what its transaction did is kept, and done
again without that part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from loom_common.errors import Conflict
from loom_connectors.sql.warehouse.dialect import WarehouseSession


class RepeatableConnection(Protocol):
    """Describes what such a visit needs of its connection."""

    def run(self, sql: str) -> object:
        """Run a statement without values and without rows."""
        ...

    def fetched(self, sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        """Return the rows of a query."""
        ...

    def changed(self, sql: str, values: Sequence[object]) -> int:
        """Return how many rows a statement inserted, changed or deleted."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """Represents a statement of a transaction, and how many rows it changed."""

    sql: str
    values: tuple[object, ...]
    rows: int


class RepeatingSession(WarehouseSession):
    """Writes by a connection that is lent for the visit, and keeps what its transaction did, to do it again."""

    commit: ClassVar[str]
    rollback: ClassVar[str]
    lost: ClassVar[tuple[type[Exception], ...]]
    """Names what a connection raises that cannot roll back, because it is lost."""

    def __init__(self, connection: RepeatableConnection) -> None:
        self._connection = connection
        self._done: list[Done] | None = None
        """Holds what the transaction did; None where there is none."""

    @asynccontextmanager
    async def transaction(self, statement_seconds: float | None = None) -> AsyncIterator[None]:  # `run` limits them all
        self._begin()
        try:
            yield
            self._connection.run(self.commit)
        except BaseException:
            with suppress(*self.lost):
                self._connection.run(self.rollback)
            raise
        finally:
            self._done = None

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        before = len(self._done or ())
        try:
            yield
        except Exception as error:
            if self._done is not None and self._goes_on_after(error):
                self._connection.run(self.rollback)
                self._repeat(self._done[:before])
            raise

    async def execute(self, sql: str, *values: object) -> int:
        return self._changed(sql, *values)

    async def fetch(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        return self._connection.fetched(sql, values)

    @abstractmethod
    def _goes_on_after(self, error: Exception) -> bool:
        """Tell whether the transaction goes on after an error, without the part that raised it."""

    def _begin(self) -> None:
        """Begin a transaction, in which nothing is done yet."""
        self._done = []

    def _changed(self, sql: str, *values: object) -> int:
        rows = self._connection.changed(sql, values)
        if self._done is not None:
            self._done.append(Done(sql, values, rows))
        return rows

    def _repeat(self, done: Sequence[Done]) -> None:
        self._begin()
        for each in done:
            if self._changed(each.sql, *each.values) != each.rows:
                raise Conflict("Another transaction was quicker, so this one is done again.")
