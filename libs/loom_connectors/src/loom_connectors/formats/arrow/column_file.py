"""Defines what differs between the files of typed columns: how one is opened, and how one is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol


class Columns(Protocol):
    """Represents an open file of typed columns. Its rows lie in groups, in an order that never changes."""

    @property
    def schema(self) -> Any:
        """Return the names and types of its columns."""
        ...

    @property
    def groups(self) -> int:
        """Return the number of groups."""
        ...

    def batches(self, group: int) -> Iterator[Any]:
        """Read the rows of a group, in pieces of a few MiB."""
        ...

    def start(self, group: int) -> int:
        """Return the number of rows before a group."""
        ...

    def offset(self, group: int) -> int:
        """Return the byte of the file at which a group begins, or about that."""
        ...

    def count(self) -> int:
        """Return the number of all rows."""
        ...


class ColumnFile(Protocol):
    """Represents one kind of such files."""

    name: str

    def open(self, stream: BinaryIO) -> Columns:
        """Open a file. Raises `pyarrow.ArrowException` for one of another kind."""
        ...

    def writing(self, target: BinaryIO, schema: Any) -> AbstractContextManager[Any]:
        """Write a file by `write_table`. Its bytes depend on what is written alone."""
        ...
