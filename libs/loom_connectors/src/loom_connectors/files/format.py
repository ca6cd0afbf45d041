"""Defines the port that each file format implements.

A reader takes records from the text of one open file, from any position it gave. A writer turns the rows of a batch
into a part, and joins parts into a file or to the end of one. Both know bytes, and no storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, runtime_checkable

from pydantic import Field

from loom_connectors.files.cut_off import cut_off
from loom_connectors.files.storage import StoredFile
from loom_connectors.files.text_lines import Encoding, Lines
from loom_connectors.options import Options
from loom_connectors.ports import FailedRow, ReadRecord, Row


class FileOptions(Options):
    """Holds what every format lets the user set."""

    format: str | None = Field(None, description="The format, e.g. `csv`. Default: the ending of the name.")


@dataclass(frozen=True, slots=True)
class FilePosition:
    """Marks a place between two records of a file: bytes and lines before it."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class TextFile:
    """Represents an open file."""

    stream: BinaryIO
    shown: str
    """Says how messages name it."""
    prefix: str
    """Says what stands before `line 17` in a record's position: the file's name where there may be several."""
    encoding: Encoding
    size: int
    until: int | None = None
    """The byte offset at which the piece that is read ends, a place that `record_starts` gave; None for the file's
    end."""

    def lines(self, mark: FilePosition) -> Lines:
        """Return its lines from `mark` on, beyond the end of a piece, too."""
        return Lines(self.stream, self.encoding, self.shown, mark.offset, mark.line)

    def rest(self, mark: FilePosition) -> Lines:
        """Return the lines from `mark` on that are to be read: those of the piece."""
        if self.until is None:
            return self.lines(mark)
        return Lines(cut_off(self.stream, self.until), self.encoding, self.shown, mark.offset, mark.line)


class RecordReader(Protocol):
    """Reads the records of a file."""

    encoding: str | None
    """The encoding that the user declared."""

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        """See that it begins as it should. Raises `SourceError`, `ConfigurationError`."""
        ...

    def read(self, file: TextFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        """Read at most `limit` records from `mark` on, and return the mark after them."""
        ...

    def count(self, file: TextFile) -> int | None:
        """Count the records; return None where that would take care to tell."""
        ...


@runtime_checkable
class DivisibleReader(RecordReader, Protocol):
    """Can tell where a record begins amid a file. It reads the lines that `TextFile.rest` gives, so that reading may
    also end amid a file."""

    def record_starts(self, file: TextFile, offsets: Sequence[int]) -> Sequence[FilePosition] | None:
        """Return, for each of these byte offsets, which ascend, the first place at or after it where a record begins
        that has another before it; less often where one place serves for several offsets, or none is left. Return None
        where it cannot be told for certain. Reads the file once at most, in constant memory."""
        ...


class RowWriter(Protocol):
    """Writes rows."""

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        """Write the rows of one batch, the same bytes for the same rows, and return those that cannot be written."""
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
        """Return the rows that can be added to the file, and those that cannot. Raises `DestinationError` where all of
        them have a column that it lacks."""
        ...


class Format(Protocol):
    """Represents one kind of file."""

    def reader(self, options: Mapping[str, Any]) -> RecordReader:
        """Return the reader, made with `extract.options`. Raises `InvalidDefinition` for those that it does not
        know."""
        ...

    def writer(self, options: Mapping[str, Any], name: str) -> RowWriter:
        """Return the writer, made with `load.options`; `name` is the one by which the format was asked for. Raises
        `InvalidDefinition`."""
        ...
