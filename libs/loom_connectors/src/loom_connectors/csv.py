"""CSV files: a `Source` and a `Destination`.

Values stay text: an empty field is the empty string, and nothing is taken for a number or a date."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from loom_common.domain.pipeline import ExtractConfig, LoadConfig
from loom_common.domain.urls import scheme_of
from loom_common.errors import ConfigurationError, RecordError, SourceError
from loom_connectors.csv_parts import CsvParts
from loom_connectors.files import FileSource, Mark, TextFile
from loom_connectors.lines import Lines, usable
from loom_connectors.options import Options, closest, options_of
from loom_connectors.parts import FileDestination
from loom_connectors.ports import ReadRecord, Surroundings

_DELIMITERS = ",;\t|"


class CsvSourceOptions(Options):
    """How a CSV file is written."""

    encoding: str | None = Field(None, description="Default: by the byte order mark, else utf-8.")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Default: the likeliest of `,` `;` tab `|` in the first line."
    )
    quotechar: str | None = Field('"', min_length=1, max_length=1, description="null: quotes mean nothing.")
    header: bool = Field(True, description="Whether the first record names the columns.")
    columns: list[str] | None = Field(None, min_length=1, description="Names of the columns, in place of the header's.")
    max_field: int = Field(131_072, ge=1, description="The longest field, in characters.")

    @field_validator("encoding")
    @classmethod
    def _usable(cls, value: str | None) -> str | None:
        return None if value is None else usable(value)

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.header and self.columns is None:
            raise ValueError("`columns`, a list of names, beside `header: false`")
        if self.columns is not None and (twice := _twice(self.columns)):
            raise ValueError(f"a different name for each of `columns`; '{twice}' stands twice")
        return self


class CsvDestinationOptions(Options):
    """How a CSV file is to be written: UTF-8, line feeds, quotes where needed."""

    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Default: a comma; a tab in files named `.tsv`."
    )


def open_source(config: ExtractConfig, surroundings: Surroundings) -> FileSource:
    """A CSV file, or several. Raises `ConfigurationError`."""
    return FileSource(config, surroundings, CsvFormat(options_of(CsvSourceOptions, config.options, "extract")))


def open_destination(config: LoadConfig, surroundings: Surroundings) -> FileDestination:
    """A CSV file. Raises `ConfigurationError`."""
    options = options_of(CsvDestinationOptions, config.options, "load")
    delimiter = options.delimiter or ("\t" if scheme_of(config.destination) == "tsv" else ",")
    return FileDestination(config, surroundings, CsvParts(delimiter))


@dataclass(frozen=True, slots=True)
class _Header:
    columns: tuple[str, ...]
    delimiter: str
    body: Mark
    """Where the first record begins."""


class CsvFormat:
    """The records of a CSV file."""

    def __init__(self, options: CsvSourceOptions) -> None:
        self._options = options
        self.encoding = options.encoding

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        header = self._header(file)
        for key in keys if header else ():
            if header and key not in header.columns:
                near = closest(key, list(header.columns))
                hint = f" Did you mean '{near}'?" if near else ""
                known = ", ".join(header.columns)
                raise ConfigurationError(f"extract.key: {file.shown} has no column '{key}'; it has {known}.{hint}")

    def read(self, file: TextFile, mark: Mark, limit: int) -> tuple[list[ReadRecord], Mark]:
        header = self._header(file)
        if header is None:
            return [], Mark(file.size)
        mark = max(mark, header.body, key=lambda each: each.offset)
        records: list[ReadRecord] = []
        while len(records) < limit:
            mark, stuck = self._records(file, header, mark, limit, records)
            if stuck is None:
                break
            # What begins at `mark` is no record. Its first line alone is at fault: the next may well be one.
            lines = file.lines(mark)
            raw = next(iter(lines)).rstrip("\r\n")
            records.append(self._record(file, mark.line + 1, {"raw": raw}, stuck))
            mark = Mark(lines.offset, lines.number)
        return records, mark

    def count(self, file: TextFile) -> int | None:
        header = self._header(file)
        if header is None:
            return 0
        try:
            return sum(map(bool, self._reader(file.lines(header.body), header.delimiter)))
        except csv.Error:
            return None

    def _records(
        self, file: TextFile, header: _Header, mark: Mark, limit: int, records: list[ReadRecord]
    ) -> tuple[Mark, RecordError | None]:
        """Append records up to `limit`. Returns the mark after them, and why the next is none, where that is so."""
        columns, width, prefix = header.columns, len(header.columns), f"{file.prefix}line "
        room = limit - len(records)
        lines = file.lines(mark)
        offset, line = lines.offset, mark.line + 1
        try:
            for fields in self._reader(lines, header.delimiter):
                if lines.exhausted:
                    return Mark(offset, line - 1), self._error(file, line, "unclosed_quote", _UNCLOSED)
                if len(fields) != width or lines.trouble is not None:
                    if fields:
                        records.append(self._faulty(file, header, line, fields, lines.trouble))
                        room -= 1
                    lines.trouble = None
                else:
                    records.append(ReadRecord(prefix + str(line), dict(zip(columns, fields, strict=True))))
                    room -= 1
                line, offset = lines.number + 1, lines.offset
                if not room:
                    break
        except csv.Error as error:
            return Mark(offset, line - 1), self._error(file, line, *_words(error, self._options.max_field))
        return Mark(offset, line - 1), None

    def _reader(self, lines: Lines, delimiter: str) -> Iterable[list[str]]:
        if csv.field_size_limit() < self._options.max_field:
            csv.field_size_limit(self._options.max_field)  # the process's: only ever raised
        quotechar = self._options.quotechar
        if quotechar is None:
            return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(lines, delimiter=delimiter, quotechar=quotechar)

    def _header(self, file: TextFile) -> _Header | None:
        """None for a file without any record. Raises `SourceError` where the header cannot be read."""
        lines = file.lines(Mark())
        first = next((text for text in lines if text.strip("\r\n")), None)
        if first is None:
            return None
        delimiter = self._options.delimiter or _likeliest(first, self._options.quotechar)
        if not self._options.header:
            return _Header(tuple(self._options.columns or ()), delimiter, Mark(file.encoding.start))
        lines = file.lines(Mark())
        try:
            fields = next(fields for fields in self._reader(lines, delimiter) if fields)
        except csv.Error as error:
            raise SourceError(f"{file.shown} line 1: the header cannot be read: {error}.") from error
        if lines.trouble is not None:
            raise SourceError(f"{lines.trouble} Without its header, nothing of the file can be read.")
        if lines.exhausted:
            raise SourceError(f"{file.shown} line 1: the header is not complete: {_UNCLOSED}")
        columns = tuple(self._options.columns or (name or f"column_{at}" for at, name in enumerate(fields, 1)))
        if twice := _twice(columns):
            raise SourceError(
                f"{file.shown} line 1: the column '{twice}' stands twice in the header. Rename one of them, "
                "or name all columns: `options: {columns: [...]}`."
            )
        return _Header(columns, delimiter, Mark(lines.offset, lines.number))

    def _faulty(
        self, file: TextFile, header: _Header, line: int, fields: list[str], trouble: RecordError | None
    ) -> ReadRecord:
        """A record that was read but cannot be used, with its raw fields; surplus ones are listed by themselves."""
        width = len(header.columns)
        data: dict[str, Any] = dict(zip(header.columns, fields, strict=False))
        if len(fields) > width:
            data["_surplus"] = fields[width:]
        if trouble is None:
            found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            words = (
                f"{found}, expected {width} ({', '.join(header.columns)}). "
                f"A field that holds {header.delimiter!r} or a line break must be quoted."
            )
            trouble = self._error(file, line, "ragged_row", words)
        return self._record(file, line, data, trouble)

    def _record(self, file: TextFile, line: int, data: dict[str, Any], error: RecordError) -> ReadRecord:
        return ReadRecord(f"{file.prefix}line {line}", data, error)

    def _error(self, file: TextFile, line: int, code: str, words: str) -> RecordError:
        return RecordError(f"{file.shown} line {line}: {words}", code=code, details={"line": line})


_UNCLOSED = "a quote is opened and never closed. Close it, or double quotes that are text."


def _words(error: csv.Error, longest: int) -> tuple[str, str]:
    """Code and message of what Python's reader stumbled over."""
    if "field larger" in str(error):
        return "field_too_long", (
            f"a field of more than {longest:,} characters. A quote may have been left open; if not, raise "
            "`options: {max_field: ...}`."
        )
    return "bad_csv", f"{error}."


def _likeliest(line: str, quotechar: str | None) -> str:
    """The delimiter that stands most often in `line` outside quotes; a comma where none does."""
    bare = "".join(line.split(quotechar)[::2]) if quotechar else line
    return max(_DELIMITERS, key=bare.count)


def _twice(names: Sequence[str]) -> str | None:
    return next((name for at, name in enumerate(names) if name in names[:at]), None)
