"""What files say: the port that each format implements.

A reader takes records from the text of one open file, from any position it gave. A writer turns the rows of a batch
into a part, and joins parts into a file or to the end of one. Both know bytes, and no storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from pydantic import Field

from loom_connectors.files.storage import StoredFile
from loom_connectors.files.text_lines import Encoding, Lines
from loom_connectors.options import Options
from loom_connectors.ports import FailedRow, ReadRecord, Row


class FileOptions(Options):
    """What every format lets the user set."""

    format: str | None = Field(None, description="The format, e.g. `csv`. Default: the ending of the name.")


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A place between two records of a file: bytes and lines before it."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class TextFile:
    """An open file."""

    stream: BinaryIO
    shown: str
    """How messages name it."""
    prefix: str
    """What stands before `line 17` in a record's position: the file's name where there may be several."""
    encoding: Encoding
    size: int

    def lines(self, mark: FilePosition) -> Lines:
        """Its lines from `mark` on."""
        return Lines(self.stream, self.encoding, self.shown, mark.offset, mark.line)


class RecordReader(Protocol):
    """How the records of a file are read."""

    encoding: str | None
    """As declared by the user."""

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        """See that it begins as it should. Raises `SourceError`, `ConfigurationError`."""
        ...

    def read(self, file: TextFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        """At most `limit` records from `mark` on, and the mark after them."""
        ...

    def count(self, file: TextFile) -> int | None:
        """How many records there are; None where that would take care to tell."""
        ...


class RowWriter(Protocol):
    """How rows are written."""

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        """The rows of one batch, the same bytes for the same rows; and those that cannot be written."""
        ...

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        """Write a file of the rows of all parts, in order, in constant memory."""
        ...

    def addition(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        """Write what is to be added to `existing`, which may be missing, in constant memory. Raises `DestinationError`
        where the parts' rows do not fit it."""
        ...

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        """See that rows with `columns` (those that are known beforehand) can be added. Raises `DestinationError`."""
        ...

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        """The rows that can be added to the file, and those that cannot. Raises `DestinationError` where all of them
        have a column that it lacks."""
        ...


class Format(Protocol):
    """One kind of file."""

    def reader(self, options: Mapping[str, Any]) -> RecordReader:
        """With `extract.options`. Raises `InvalidDefinition` for those that it does not know."""
        ...

    def writer(self, options: Mapping[str, Any], name: str) -> RowWriter:
        """With `load.options`; `name` is the one by which the format was asked for. Raises `InvalidDefinition`."""
        ...
