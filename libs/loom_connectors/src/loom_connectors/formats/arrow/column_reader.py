"""Reads records from a file of typed columns, a page after the other, without reading a group of rows twice."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from loom_common.errors import ConfigurationError, LoomError, SourceError
from loom_connectors.files.format import FilePosition, OpenFile
from loom_connectors.formats.arrow.column_file import ColumnFile, Columns
from loom_connectors.formats.arrow.column_records import records_of
from loom_connectors.formats.arrow.json_values import converter
from loom_connectors.options import closest
from loom_connectors.ports.source import ReadRecord


class ColumnReader:
    """Reads the records of a file of typed columns. A position is a group of rows, and a row in it."""

    def __init__(self, kind: ColumnFile, columns: Sequence[str] | None) -> None:
        self._kind = kind
        self._columns = columns

    def check(self, file: OpenFile, keys: Sequence[str]) -> None:
        opened = self._opened(file)
        for key in keys:
            if key not in opened.names:
                near = closest(key, opened.names)
                hint = f" Did you mean '{near}'?" if near else ""
                known = ", ".join(opened.names)
                raise ConfigurationError(f"extract.key: {file.shown} has no column '{key}'; it has {known}.{hint}")

    def read(self, file: OpenFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        opened = self._opened(file)
        group, row = mark.offset, mark.line
        records: list[ReadRecord] = []
        last = opened.columns.groups if file.until is None else file.until
        while group < last and len(records) < limit:
            with self._sound(file, opened, group, row):
                piece = opened.rows(group, row, limit - len(records))
            if piece is None:
                group, row = group + 1, 0
                continue
            first = opened.columns.start(group) + row + 1
            records += records_of(piece, opened.names, first, file.prefix, file.shown)
            row += piece.num_rows
        with self._sound(file, opened, group, row):
            if row and not opened.has_rows():
                group, row = group + 1, 0
        end = group >= opened.columns.groups
        return records, FilePosition(file.size) if end else FilePosition(group, row)

    def record_starts(self, file: OpenFile, offsets: Sequence[int]) -> Sequence[FilePosition]:
        """Return the groups of rows that begin at or after these byte offsets."""
        columns = self._opened(file).columns
        places = [columns.offset(group) for group in range(1, columns.groups)]
        found = {bisect.bisect_left(places, offset) + 1 for offset in offsets}
        return [FilePosition(group) for group in sorted(found) if group < columns.groups]

    def count(self, file: OpenFile) -> int:
        return self._opened(file).columns.count()

    def _opened(self, file: OpenFile) -> _Reading:
        kept = file.kept
        if isinstance(kept, _Reading):
            return kept
        try:
            file.stream.seek(0)
            opened = _Reading(self._kind.open(file.stream), self._columns, file.shown)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(
                f"{file.shown} is no {self._kind.name} file, or is cut off: {_first_line(error)}. "
                "Fetch it again, or say what it is: `options: {format: csv}`."
            ) from error
        file.kept = opened
        return opened

    @contextmanager
    def _sound(self, file: OpenFile, opened: _Reading, group: int, row: int) -> Iterator[None]:
        """Read from a row of a group on. Raises `SourceError` where the file is damaged there."""
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            at = opened.columns.start(group) + row + 1
            raise SourceError(
                f"{file.shown} cannot be read from row {at:,} on: {_first_line(error)}. The file is damaged: write it "
                "again."
            ) from error


class _Reading:
    """Keeps where reading of a file stands: the rows of a group that were read and not yet given."""

    def __init__(self, columns: Columns, wanted: Sequence[str] | None, shown: str) -> None:
        self.columns = columns
        found = list(columns.schema.names)
        if again := next((name for at, name in enumerate(found) if name in found[:at]), None):
            raise SourceError(f"{shown} has two columns named '{again}'. Rename one of them.")
        self.names = list(wanted) if wanted is not None else found
        if missing := [name for name in self.names if name not in found]:
            raise ConfigurationError(
                f"extract.options.columns: {shown} has no column '{missing[0]}'; it has {', '.join(found)}."
            )
        for name in self.names:
            converter(columns.schema.field(name).type, name)
        self._place = (-1, 0)
        self._batches: Iterator[Any] = iter(())
        self._rest: Any = None

    def rows(self, group: int, row: int, limit: int) -> Any:
        """Return at most `limit` rows from a row of a group on; None at the end of the group."""
        if self._place != (group, row):
            self._batches, self._rest, self._place = self.columns.batches(group), None, (group, 0)
            while self._place[1] < row and self.has_rows():
                self._taken(row - self._place[1])
        return self._taken(limit) if self.has_rows() else None

    def has_rows(self) -> bool:
        """Tell whether the group has rows after those that were given."""
        while self._rest is None or not self._rest.num_rows:
            self._rest = next(self._batches, None)
            if self._rest is None:
                return False
        return True

    def _taken(self, limit: int) -> Any:
        piece = self._rest.slice(0, limit)
        self._rest = self._rest.slice(piece.num_rows)
        group, row = self._place
        self._place = group, row + piece.num_rows
        return piece.select(self.names)


def _first_line(error: Exception) -> str:
    if isinstance(error, LoomError):
        raise error
    return str(error).partition("\n")[0].rstrip(".")
