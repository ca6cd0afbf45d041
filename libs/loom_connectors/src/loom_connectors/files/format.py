"""Defines the port that each file format implements.

A reader takes records from one open file, from any position it gave. A writer turns the rows of a batch into a part,
and joins parts into a file, or adds them to one. Both know bytes, and no storage."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, Protocol, Self, runtime_checkable

from pydantic import Field, field_validator

from loom_connectors.files.cut_off import cut_off
from loom_connectors.files.storage import StoredFile
from loom_connectors.files.text_lines import Encoding, Lines, usable
from loom_connectors.options import Options
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.ports.source import ReadRecord

Compressed = Literal["gz", "zst", "bz2", "none"]
COMPRESSION = "How the file is compressed. Default: by its name, e.g. `reviews.csv.gz`."


class FileOptions(Options):
    """Holds what every format lets the user set."""

    format: str | None = Field(None, description="The format, e.g. `csv`. Default: the ending of the name.")


class FileSourceOptions(FileOptions):
    """Holds what every format lets the user set of a source."""

    partitions: bool = Field(
        True, description="Whether folders of a pattern that are named `day=2024-01-01` are fields of the records."
    )


class TextOptions(FileOptions):
    """Holds what every format of text lets the user set."""

    encoding: str | None = Field(None, description="Default: by the byte order mark, else utf-8.")
    compression: Compressed | None = Field(None, description=COMPRESSION)

    @field_validator("encoding")
    @classmethod
    def _usable(cls, value: str | None) -> str | None:
        return None if value is None else usable(value)


@dataclass(frozen=True, slots=True)
class FilePosition:
    """Marks a place between two records of a file: bytes and lines before it."""

    offset: int = 0
    line: int = 0


@dataclass(slots=True)
class OpenFile:
    """Represents an open file."""

    stream: BinaryIO
    shown: str
    """Says how messages name it."""
    prefix: str
    """Says what stands before `line 17` in a record's position: the file's name where there may be several."""
    until: int | None = field(default=None, kw_only=True)
    """The offset at which the piece that is read ends, a place that `record_starts` gave; None for the file's end."""
    kept: Any = field(default=None, kw_only=True)
    """Holds what its reader keeps between two pages, to go on where the first ended. It may be lost."""
    _size: int | None = field(default=None, init=False)

    @property
    def size(self) -> int:
        """Return the size of the file in bytes. Where it is compressed, it is read to its end for that."""
        if self._size is None:
            at = self.stream.tell()
            self._size = self.stream.seek(0, io.SEEK_END)
            self.stream.seek(at)
        return self._size


@dataclass(slots=True)
class TextFile(OpenFile):
    """Represents an open file of text."""

    encoding: Encoding

    def lines(self, mark: FilePosition) -> Lines:
        """Return the lines of the file from `mark` on, beyond the end of a piece, too."""
        return Lines(self.stream, self.encoding, self.shown, mark.offset, mark.line)

    def rest(self, mark: FilePosition) -> Lines:
        """Return the lines from `mark` on that are to be read: those of the piece."""
        if self.until is None:
            return self.lines(mark)
        return Lines(cut_off(self.stream, self.until), self.encoding, self.shown, mark.offset, mark.line)


@runtime_checkable
class RecordReader(Protocol):
    """Reads the records of a file of text."""

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


class BinaryReader(Protocol):
    """Reads the records of a file that is no text. It has no `encoding`; a mark at the file's size is its end. It reads
    no further than `OpenFile.until`."""

    def check(self, file: OpenFile, keys: Sequence[str]) -> None:
        """See that it begins as it should. Raises `SourceError`, `ConfigurationError`."""
        ...

    def read(self, file: OpenFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        """Read at most `limit` records from `mark` on, and return the mark after them."""
        ...

    def count(self, file: OpenFile) -> int | None:
        """Count the records; return None where that would take care to tell."""
        ...

    def record_starts(self, file: OpenFile, offsets: Sequence[int]) -> Sequence[FilePosition] | None:
        """Return where records begin near these byte offsets, as `DivisibleReader` does."""
        ...


class FileWriter(Protocol):
    """Writes rows as a file of one format."""

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        """Write the rows of one batch, the same bytes for the same rows, and return those that cannot be written."""
        ...

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        """Write a file of the rows of all parts, in order, in constant memory."""
        ...

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        """See that rows with `columns` (those that are known beforehand) can be added. Raises `DestinationError`."""
        ...

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        """Return the rows that can be added to the file, and those that cannot. Raises `DestinationError` where all of
        them have a column that it lacks."""
        ...


@runtime_checkable
class RowWriter(FileWriter, Protocol):
    """Writes rows into a file that can go on at its end."""

    def addition(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        """Write what is to be added to `existing`, which may be missing, in constant memory. Raises `DestinationError`
        where the parts' rows do not fit it."""
        ...


class WholeFileWriter(FileWriter, Protocol):
    """Writes rows into a file that cannot go on at its end, such as one with an index there: to add rows, it is
    written anew."""

    def merged(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        """Write a file of what `existing` holds, which may be missing, and the rows of all parts after it, in constant
        memory. Raises `DestinationError` where the parts' rows do not fit it."""
        ...


@runtime_checkable
class TypedWriter(Protocol):
    """Writes columns of types, and so has to know what the pipeline declares."""

    def declared(self, schema: Mapping[str, Any] | None, columns: Sequence[str]) -> Self:
        """Return a writer for records with `columns`, as far as they are known beforehand, of which `schema`, the JSON
        Schema of the output, declares some."""
        ...


@runtime_checkable
class TextWriter(WholeFileWriter, Protocol):
    """Writes text that is written anew to add rows. It may be compressed, as a `RowWriter`'s may."""

    encoding: str | None
    """The encoding that the user declared."""


class Format(Protocol):
    """Represents one kind of file."""

    def reader(self, options: Mapping[str, Any]) -> RecordReader | BinaryReader:
        """Return the reader, made with `extract.options`. Raises `InvalidDefinition` for those that it does not
        know."""
        ...

    def writer(self, options: Mapping[str, Any], name: str) -> RowWriter | WholeFileWriter:
        """Return the writer, made with `load.options`; `name` is the one by which the format was asked for. Raises
        `InvalidDefinition`."""
        ...
