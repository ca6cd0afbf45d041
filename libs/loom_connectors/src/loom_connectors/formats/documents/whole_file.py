"""Reads a file that is read as a whole, once, and gives its records in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.files.format import FilePosition, OpenFile
from loom_connectors.options import closest
from loom_connectors.ports.source import ReadRecord


class Parser(Protocol):
    """Makes records of the content of a file."""

    limit: int
    """The most bytes that a file may have."""

    def records(self, content: bytes, file: OpenFile) -> Sequence[ReadRecord]:
        """Return all records. Raises `SourceError` where the content is of another kind."""
        ...


class WholeFileReader:
    """Implements `BinaryReader` by a parser of whole files."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    def check(self, file: OpenFile, keys: Sequence[str]) -> None:
        for key in keys if (records := self._records(file)) else ():
            known = list(records[0].data)
            if records[0].error is None and key not in known:
                near = closest(key, known)
                hint = f" Did you mean '{near}'?" if near else ""
                raise ConfigurationError(
                    f"extract.key: the first record of {file.shown} has no field '{key}'; it has {', '.join(known)}."
                    f"{hint}"
                )

    def read(self, file: OpenFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        records = self._records(file)
        found = list(records[mark.offset : mark.offset + limit])
        after = mark.offset + len(found)
        return found, FilePosition(max(file.size, 1) if after >= len(records) else after, after)

    def count(self, file: OpenFile) -> int:
        return len(self._records(file))

    def record_starts(self, file: OpenFile, offsets: Sequence[int]) -> Sequence[FilePosition] | None:
        return None

    def _records(self, file: OpenFile) -> Sequence[ReadRecord]:
        if file.kept is None:
            if file.size > self._parser.limit:
                raise SourceError(
                    f"{file.shown} has {file.size:,} bytes, and is read as a whole: at most {self._parser.limit:,}. "
                    "Write it as JSON Lines, CSV or Parquet, which are read in pieces."
                )
            file.stream.seek(0)
            file.kept = self._parser.records(file.stream.read(), file)
        kept: Sequence[ReadRecord] = file.kept
        return kept
