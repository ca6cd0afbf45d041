"""Implements what the `TableDialect` of each database has in common that is one file: its driver in a thread."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from loom_connectors.sql.columns import Kind
from loom_connectors.sql.dialect import Work
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.sql.table_name import TableName

Result = TypeVar("Result")


class DatabaseFile(Protocol):
    """Describes what a dialect needs of its file."""

    @property
    def shown(self) -> str:
        """Return the URL of the file."""
        ...

    def close(self) -> None:
        """Close what is open of it."""
        ...


AnyFile = TypeVar("AnyFile", bound=DatabaseFile)


class FileDialect(ABC, Generic[AnyFile]):
    """Represents one file that is written."""

    types: ClassVar[Mapping[Kind, str]]
    """Says which type a column of a kind gets."""
    one_writes = True

    def __init__(self, file: AnyFile) -> None:
        self._file = file

    @property
    def shown(self) -> str:
        return self._file.shown

    def quoted(self, name: str) -> str:
        return quoted(name)

    def type_of(self, kind: Kind, *, in_key: bool = False) -> str:
        return self.types[kind]

    def unique_index(self, table: TableName, key: Sequence[str]) -> str:
        return f"CREATE UNIQUE INDEX {quoted(f'{table.name}_key')} ON {table.sql} ({name_list(key)})"

    def renamed(self, table: TableName, name: str) -> str:
        return f"ALTER TABLE {table.sql} RENAME TO {quoted(name)}"

    async def run(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(self._run, work, seconds)

    async def look(self, work: Work[Result]) -> Result:
        return await asyncio.to_thread(self._look, work)

    async def close(self) -> None:
        await asyncio.to_thread(self._file.close)

    @abstractmethod
    def _run(self, work: Work[Result], seconds: float) -> Result:
        """Do the work in this thread with a connection that writes, within so many seconds."""

    @abstractmethod
    def _look(self, work: Work[Result]) -> Result:
        """Do the work in this thread with a connection that only reads. Creates no file."""
