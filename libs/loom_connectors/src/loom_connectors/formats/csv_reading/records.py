"""Reads the records of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import chain
from typing import Any

from loom_common.domain.checks.repairs import MEND, SURPLUS, damaged
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError, RecordError
from loom_connectors.files.format import FilePosition, TextFile
from loom_connectors.formats.csv_reading.broken import Dialect, extent
from loom_connectors.formats.csv_reading.header import TOO_LONG, Header, header_of, reader, told
from loom_connectors.formats.csv_reading.page import PageLines
from loom_connectors.formats.csv_reading.plain import Divided, PlainLines
from loom_connectors.formats.csv_reading.rows import data_maker
from loom_connectors.formats.csv_reading.starts import record_starts
from loom_connectors.options import closest
from loom_connectors.ports.source import ReadRecord


class CsvReader:
    """Reads the records of an open file, each as it came or with the error that keeps it back."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        encoding: str | None,
        delimiter: str | None,
        header: bool,
        columns: Sequence[str] | None,
        null_values: Sequence[str],
        max_field: int,
    ) -> None:
        self.encoding = encoding
        self._dialect = dialect
        self._delimiter = delimiter
        self._has_header = header
        self._columns = columns
        self._null = frozenset(null_values)
        self._max_field = max_field

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        header = self._header(file)
        for key in keys if header else ():
            if header and key not in header.columns:
                near = closest(key, list(header.columns))
                hint = f" Did you mean '{near}'?" if near else ""
                known = ", ".join(header.columns)
                raise ConfigurationError(f"extract.key: {file.shown} has no column '{key}'; it has {known}.{hint}")

    def read(self, file: TextFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        header = self._header(file)
        if header is None:
            return [], FilePosition(file.size)
        if csv.field_size_limit() < self._max_field:
            csv.field_size_limit(self._max_field)  # this limit is the process's, and is only ever raised
        mark = max(mark, header.body, key=lambda each: each.offset)
        records: list[ReadRecord] = []
        while len(records) < limit:
            mark, stuck = self._records(file, header, mark, limit, records)
            if stuck is None:
                break
            mark = self._keep_back(file, header, mark, stuck, records)
        return records, mark

    def record_starts(self, file: TextFile, offsets: Sequence[int]) -> Sequence[FilePosition] | None:
        header = self._header(file)
        return () if header is None else record_starts(file, header.body, header.dialect, offsets)

    def count(self, file: TextFile) -> int | None:
        header = self._header(file)
        if header is None:
            return 0
        try:
            return sum(map(bool, reader(file.lines(header.body), header.dialect)))
        except csv.Error:
            return None

    def _records(
        self, file: TextFile, header: Header, mark: FilePosition, limit: int, records: list[ReadRecord]
    ) -> tuple[FilePosition, csv.Error | None]:
        """Append records up to `limit`. Returns the mark after them, and why the next is none, where that is so."""
        made, width, prefix = data_maker(header.columns), len(header.columns), f"{file.prefix}line "
        null, longest, lines = self._null, self._max_field, file.rest(mark)

        def records_of(line: int, found: Divided) -> list[ReadRecord]:
            rows = [self._nulled(row) for row in found.rows] if null else found.rows
            places = [f"{prefix}{line + at}" for at in found.starts]
            return [ReadRecord(place, made(*row)) for place, row in zip(places, rows, strict=True)]

        plain = PlainLines(header.dialect, file.encoding, width, longest)
        page = PageLines(lines, plain, records, limit, longest=longest, made=records_of)
        table, stuck = reader(chain.from_iterable(page.given()), header.dialect), None
        try:
            for fields in table:
                line, after = page.line, page.before + table.line_num + 1
                if len(fields) != width or after - line > page.safe:
                    if fields and max(map(len, fields)) > longest:
                        stuck = csv.Error(TOO_LONG)
                        break
                    if fields:
                        records.append(self._doubtful(file, header, line, fields, lines.trouble))
                    lines.trouble = None
                else:
                    values = self._nulled(fields) if null else fields
                    records.append(ReadRecord(f"{prefix}{line}", made(*values)))
                page.line = after
                if len(records) >= limit:
                    break
        except csv.Error as error:
            stuck = error
        lines.pass_to(page.line - 1)
        return FilePosition(lines.offset, lines.number), stuck

    def _keep_back(
        self, file: TextFile, header: Header, mark: FilePosition, stuck: csv.Error, records: list[ReadRecord]
    ) -> FilePosition:
        """Append what begins at `mark` and is no record. Returns the mark after it."""
        found = extent(file.rest(mark), header.dialect)
        code, words = told(found.fault or stuck, header.dialect, self._max_field)
        error = self._error(file, mark.line + 1, code, words)
        records.append(self._record(file, mark.line + 1, {"raw": found.raw}, error))
        return FilePosition(found.offset, found.line)

    def _header(self, file: TextFile) -> Header | None:
        return header_of(file, self._dialect, self._delimiter, present=self._has_header, columns=self._columns)

    def _nulled(self, fields: Sequence[str]) -> list[Any]:
        return [None if field in self._null else field for field in fields]

    def _doubtful(
        self, file: TextFile, header: Header, line: int, fields: list[str], trouble: RecordError | None
    ) -> ReadRecord:
        """Return a record that is not as the others. Where it cannot be used it has its raw fields; surplus ones are
        listed by themselves."""
        width = len(header.columns)
        data: dict[str, Any] = dict(zip(header.columns, fields, strict=False))
        if len(fields) > width:
            data[SURPLUS] = fields[width:]
        if trouble is None and len(fields) != width:
            trouble = self._error(file, line, "ragged_row", self._ragged(header, fields))
        if trouble is None:
            data = dict(zip(header.columns, self._nulled(fields), strict=True))
            return ReadRecord(f"{file.prefix}line {line}", data)
        missing = header.columns[len(fields) :]
        trouble.details[MEND] = [*missing, *({SURPLUS} & data.keys()), *damaged(data, trouble.code)]
        return self._record(file, line, data, trouble)

    def _ragged(self, header: Header, fields: Sequence[str]) -> str:
        width = len(header.columns)
        found = counted(len(fields), "field")
        words = f"{found}, expected {width} ({', '.join(header.columns)}). "
        if len(fields) == width + 1 and not fields[-1]:
            return words + (
                f"The row ends in {header.dialect.delimiter!r} and the header does not. Remove it, or name all "
                "columns: `options: {columns: [...]}`."
            )
        if len(fields) == width - 1 and header.columns[-1] == f"column_{width}":
            return words + (
                f"The header ends in {header.dialect.delimiter!r} and the row does not. Remove it, or name the "
                "columns: `options: {columns: [...]}`."
            )
        return words + f"A field that holds {header.dialect.delimiter!r} or a line break must be quoted."

    def _record(self, file: TextFile, line: int, data: dict[str, Any], error: RecordError) -> ReadRecord:
        return ReadRecord(f"{file.prefix}line {line}", data, error)

    def _error(self, file: TextFile, line: int, code: str, words: str) -> RecordError:
        return RecordError(f"{file.shown} line {line}: {words}", code=code, details={"line": line})
