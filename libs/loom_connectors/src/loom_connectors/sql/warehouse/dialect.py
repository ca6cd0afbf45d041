"""Implements what the `TableDialect` of each warehouse has in common.

Work is done in a thread. No key is checked, so an upsert may go by any columns, and a transaction that another one was
in the way of is done again."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from loom_common.errors import LoomError, PermanentError
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.dialect import Fault, Rights, Work
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.loading.repeating import done_alone
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.warehouse.server import WarehouseServer
from loom_connectors.sql.warehouse.statements import copy_sql
from loom_connectors.values import EMPTY_TEXT, json_text

Result = TypeVar("Result")
AnyServer = TypeVar("AnyServer", bound=WarehouseServer)


class WarehouseSession(ABC):
    """Represents a visit to a thread. Its coroutines wait for nothing: they block."""

    @staticmethod
    @abstractmethod
    def quoted(name: str) -> str: ...

    @abstractmethod
    async def columns(self, table: TableName) -> dict[str, str]: ...

    @abstractmethod
    async def execute(self, sql: str, *values: object) -> int: ...

    async def rights(self, table: TableName, mode: Mode) -> Rights:
        """Tell whether the table is there. What somebody may do with it is seen when it is done."""
        exists = bool(await self.columns(table))
        return Rights(read_only=False, exists=exists, may_write=True, may_create=True, may_alter=True)

    async def types(self, table: TableName) -> dict[str, str]:
        return await self.columns(table)

    async def computed(self, table: TableName) -> Mapping[str, str]:
        """Return none: a column that a warehouse numbers may be written, and tables have no other."""
        return {}

    async def can_update_by(self, table: TableName, key: Sequence[str]) -> bool:
        return True

    async def copy_rows(self, source: TableName, target: TableName) -> None:
        await self.execute(copy_sql(source, target, list(await self.columns(source)), self.quoted))


class WarehouseDialect(ABC, Generic[AnyServer]):
    """Represents one dataset or schema that is written."""

    types: ClassVar[Mapping[Kind, str]]
    """Says which type a column of a kind gets."""
    one_writes = False

    def __init__(self, server: AnyServer) -> None:
        self._server = server

    @property
    def shown(self) -> str:
        return self._server.address.shown

    def fault(self, error: Exception) -> Fault:
        meant = self._meaning(error)
        if meant is None:
            return Fault.ROW
        return Fault.DESTINATION if isinstance(meant, PermanentError) else Fault.TRANSIENT

    def failed_row(self, row: Row, error: Exception) -> FailedRow:
        if isinstance(error, UnicodeEncodeError):
            return FailedRow(row.record_id, "type", "A text holds half a surrogate pair, which is no character.")
        code = "constraint" if self._is_of_a_constraint(error) else "type"
        hint = EMPTY_TEXT if code == "type" and "" in row.values.values() else ""
        return FailedRow(row.record_id, code, f"{self._sentence(error)}{hint}")

    def name_list(self, names: Sequence[str]) -> str:
        return json_text(list(names))

    def type_of(self, kind: Kind, *, in_key: bool = False) -> str:
        return self.types[kind]

    async def run(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(done_alone, lambda: self._visit(work, seconds), seconds)

    async def look(self, work: Work[Result]) -> Result:
        return await asyncio.to_thread(self._visit, work, self._server.timeouts.query)

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    @abstractmethod
    def _visit(self, work: Work[Result], seconds: float) -> Result:
        """Do `work` in this thread with a session whose statements may take so many seconds. Raises errors of Loom."""

    @abstractmethod
    def _meaning(self, error: Exception) -> LoomError | None:
        """Return what an error is to Loom; None where it is about the values of a row."""

    @abstractmethod
    def _is_of_a_constraint(self, error: Exception) -> bool:
        """Tell whether an error is about a constraint of the table, such as a column that may not be NULL."""

    @abstractmethod
    def _sentence(self, error: Exception) -> str:
        """Return what an error says, with a point at its end."""
