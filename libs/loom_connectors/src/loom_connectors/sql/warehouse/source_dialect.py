"""Implements what the `SourceDialect` of each warehouse has in common.

A page is read in a thread. A warehouse keeps no order of rows, and a primary key is only a note there, so what is read
by pages needs `extract.key`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from loom_common.errors import SourceError
from loom_connectors.sql.keyset_paging import limited_to
from loom_connectors.sql.reading.source_dialect import Order, Work
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.warehouse import statements
from loom_connectors.sql.warehouse.server import WarehouseServer

Result = TypeVar("Result")
AnyServer = TypeVar("AnyServer", bound=WarehouseServer)


class WarehouseSourceSession(ABC):
    """Represents a visit to a thread. Its coroutines wait for nothing: they block."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    async def order(self, table: TableName) -> Order | None:
        """Return None: there is no order that lasts."""
        if not self._is_there(table):
            raise SourceError(f"{self._shown} has no table {table}. Correct `?table=` in `source`.")
        return None

    async def is_unique(self, table: TableName, keys: Sequence[str]) -> bool:
        return False

    @abstractmethod
    def _is_there(self, table: TableName) -> bool:
        """Tell whether there is such a table."""


class WarehouseSourceDialect(ABC, Generic[AnyServer]):
    """Represents one dataset or schema that is read."""

    def __init__(self, server: AnyServer) -> None:
        self._server = server

    @property
    def shown(self) -> str:
        return self._server.address.shown

    def written(self, query: str) -> str:
        return query

    def compared(self, columns: Sequence[str], comparison: str, values: Sequence[str]) -> str:
        return statements.compared(columns, comparison, values)

    def limited(self, rows: int) -> str:
        return limited_to(rows)

    async def read(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(self._visit, work, seconds)

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    @abstractmethod
    def _visit(self, work: Work[Result], seconds: float) -> Result:
        """Do `work` in this thread, within so many seconds. Raises errors of Loom."""
