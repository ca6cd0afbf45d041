"""Implements Excel workbooks (.xlsx) as a `Format`: one sheet of a workbook, whose first row names the columns."""

import datetime as dt
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import python_calamine as calamine
from pydantic import Field

from loom_common.domain.checks.repairs import MEND, SURPLUS
from loom_common.errors import ConfigurationError, RecordError, SourceError
from loom_connectors.files.format import FileOptions, FilePosition, FileSourceOptions, OpenFile
from loom_connectors.formats.documents.excel_writer import ExcelWriter
from loom_connectors.options import closest, options_of
from loom_connectors.ports.source import ReadRecord

_MOST_PACKED = 128 * 1024 * 1024
_MOST_UNPACKED = 1024 * 1024 * 1024
"""The most bytes of a workbook, and of what it unpacks to: a sheet is read as a whole."""
_EXACT = 2**53


class ExcelSourceOptions(FileSourceOptions):
    """Says which cells of a workbook are read."""

    sheet: str | int = Field(1, description="The name of the sheet, or its number from 1.")
    header: bool = Field(True, description="Whether the first row names the columns.")
    columns: list[str] | None = Field(None, min_length=1, description="Names of the columns, in place of the header's.")
    skip_rows: int = Field(0, ge=0, description="Rows before the header, such as a title.")


class ExcelDestinationOptions(FileOptions):
    """Says how a workbook is written."""

    sheet: str = Field("Sheet1", min_length=1, max_length=31, description="The name of the sheet.")


class ExcelFormat:
    """Implements Excel workbooks."""

    source_options = ExcelSourceOptions
    destination_options = ExcelDestinationOptions

    def reader(self, options: Mapping[str, Any]) -> "ExcelReader":
        given = options_of(ExcelSourceOptions, options, "extract")
        if not given.header and given.columns is None:
            raise ConfigurationError("extract.options: name the `columns` beside `header: false`.")
        return ExcelReader(given)

    def writer(self, options: Mapping[str, Any], name: str) -> ExcelWriter:
        return ExcelWriter(options_of(ExcelDestinationOptions, options, "load").sheet)


class ExcelReader:
    """Reads the rows of a sheet."""

    def __init__(self, options: ExcelSourceOptions) -> None:
        self._options = options

    def check(self, file: OpenFile, keys: Sequence[str]) -> None:
        sheet = self._sheet(file)
        for key in keys:
            if key not in sheet.names:
                near = closest(key, list(sheet.names))
                hint = f" Did you mean '{near}'?" if near else ""
                known = ", ".join(sheet.names)
                raise ConfigurationError(f"extract.key: {file.shown} has no column '{key}'; it has {known}.{hint}")

    def read(self, file: OpenFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        sheet = self._sheet(file)
        records = [_record(file, sheet.names, number, cells) for number, cells in sheet.rows(mark.offset, limit)]
        return records, FilePosition(file.size if sheet.is_at_end() else sheet.at, sheet.at)

    def count(self, file: OpenFile) -> int | None:
        return None

    def record_starts(self, file: OpenFile, offsets: Sequence[int]) -> Sequence[FilePosition] | None:
        return None

    def _sheet(self, file: OpenFile) -> "_Sheet":
        if not isinstance(file.kept, _Sheet):
            file.kept = _Sheet(self._opened(file), self._options, file.shown)
        return file.kept

    def _opened(self, file: OpenFile) -> calamine.CalamineSheet:
        wanted = self._options.sheet
        try:
            file.stream.seek(0)
            unpacked = sum(each.file_size for each in zipfile.ZipFile(file.stream).infolist())
            if file.size > _MOST_PACKED or unpacked > _MOST_UNPACKED:
                raise SourceError(
                    f"{file.shown} is too large for a workbook, which is read as a whole: {file.size:,} bytes, "
                    f"{unpacked:,} unpacked. Save the sheet as CSV UTF-8."
                )
            file.stream.seek(0)
            book = calamine.CalamineWorkbook.from_filelike(file.stream)
        except (zipfile.BadZipFile, calamine.CalamineError) as error:
            raise SourceError(
                f"{file.shown} is no Excel workbook (.xlsx), or is cut off: {str(error).rstrip('.')}. Fetch it again, "
                "or say what it is: `options: {format: csv}`."
            ) from error
        names = book.sheet_names
        if isinstance(wanted, int) and 1 <= wanted <= len(names):
            return book.get_sheet_by_index(wanted - 1)
        if isinstance(wanted, str) and wanted in names:
            return book.get_sheet_by_name(wanted)
        raise ConfigurationError(
            f"extract.options.sheet: {file.shown} has no sheet {wanted!r}; its sheets are {', '.join(names)}."
        )


def _record(file: OpenFile, names: Sequence[str], number: int, cells: Sequence[Any]) -> ReadRecord:
    """Return a row as a record, which is kept back where it has more cells than there are columns."""
    position, data = f"{file.prefix}row {number}", dict(zip(names, cells, strict=False))
    if len(cells) <= len(names):
        return ReadRecord(position, data)
    words = f"{len(cells)} cells, expected {len(names)} ({', '.join(names)}). Name all columns in `columns`."
    details = {"row": number, MEND: [SURPLUS]}
    error = RecordError(f"{file.shown} {position}: {words}", code="ragged_row", details=details)
    return ReadRecord(position, {**data, SURPLUS: list(cells[len(names) :])}, error)


class _Sheet:
    """Keeps where reading of a sheet stands: `at` rows of it were given."""

    def __init__(self, sheet: calamine.CalamineSheet, options: ExcelSourceOptions, shown: str) -> None:
        self._sheet = sheet
        self._cells = self._begun()
        self._next: Sequence[Any] | None = None
        for _ in range(options.skip_rows):
            next(self._cells, None)
        first = next(self._cells, None) if options.header else None
        found = [str(_value(cell) or f"column_{at}") for at, cell in enumerate(first or (), 1)]
        self.names = options.columns or found
        if again := next((name for at, name in enumerate(self.names) if name in self.names[:at]), None):
            raise SourceError(
                f"{shown}: two columns are named '{again}'. Name all columns: `options: {{columns: ...}}`."
            )
        self._body = options.skip_rows + options.header
        self.at = 0

    def rows(self, start: int, limit: int) -> Iterator[tuple[int, list[Any]]]:
        """Yield at most `limit` rows that are not empty, from the row `start` of the body on, with their numbers in the
        sheet."""
        if start != self.at:
            self._cells, self._next, self.at = self._begun(), None, 0
            for _ in range(self._body + start):
                next(self._cells, None)
            self.at = start
        width = len(self.names)
        while limit and not self.is_at_end():
            cells, self._next = self._next or (), None
            self.at += 1
            values = [_value(cell) for cell in cells]
            while len(values) > width and values[-1] is None:
                values.pop()
            if any(value is not None for value in values):
                yield self._body + self.at, values + [None] * (width - len(values))
                limit -= 1

    def is_at_end(self) -> bool:
        """Tell whether the sheet has no more rows."""
        if self._next is None:
            self._next = next(self._cells, None)
        return self._next is None

    def _begun(self) -> Iterator[Sequence[Any]]:
        return iter(self._sheet.iter_rows())


def _value(cell: Any) -> Any:
    """Return the JSON value of a cell: every number of a workbook is a 64-bit one, and a whole one is an integer."""
    match cell:
        case "":
            return None
        case bool() | int() | str():
            return cell
        case float():
            return int(cell) if cell.is_integer() and abs(cell) <= _EXACT else cell
        case dt.timedelta():
            return f"PT{cell.total_seconds():f}".rstrip("0").rstrip(".") + "S"
    return cell.isoformat()
