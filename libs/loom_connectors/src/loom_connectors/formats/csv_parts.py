"""Writes the parts of a CSV destination, with quotes where needed and null as the empty field, and adds to a file that
is there.

A part holds the rows of a batch as UTF-8 with line feeds, whatever the file will be."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from loom_common.errors import DestinationError
from loom_connectors.files.existing_file import READ_THROUGH, line_is_open, opened
from loom_connectors.files.format import FilePosition, TextFile
from loom_connectors.files.storage import StoredFile
from loom_connectors.files.text_lines import without_mark
from loom_connectors.formats.csv_reading.broken import Dialect
from loom_connectors.formats.csv_reading.header import header_of
from loom_connectors.formats.csv_reading.records import CsvReader
from loom_connectors.formats.csv_writing import Cells, cell, header_line, lines_of, rows_of
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.sql.columns import columns_of, unknown_everywhere

_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Style:
    """Says how a file is written."""

    columns: tuple[str, ...]
    delimiter: str
    codec: str = "utf-8"
    newline: str = "\n"
    line_is_open: bool = False
    """Tells whether the last line lacks its end."""


class CsvWriter:
    """Writes the part of a batch, and joins parts into a file, or to the end of one."""

    def __init__(self, delimiter: str, *, declared: str | None = None, encoding: str | None = None) -> None:
        """Take the `delimiter` for a new file, and `declared` where the user named one, also for a file that is
        there."""
        self._delimiter = delimiter
        self._declared = declared
        self._encoding = encoding

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        good = [row for row in rows if row.values]
        failed = [
            FailedRow(row.record_id, "empty", "The record has no field to load.") for row in rows if not row.values
        ]
        codec = self._encoding or "utf-8"
        try:
            text = self._text(good)
            if codec != "utf-8":
                text.encode(codec)
            return text.encode("utf-8"), failed
        except UnicodeEncodeError:
            good, unwritable = _writable(good, codec)
            return self._text(good).encode("utf-8"), [*failed, *unwritable]

    def _text(self, rows: Sequence[Row]) -> str:
        columns = columns_of(rows)
        cells = [[cell(row.values.get(column)) for column in columns] for row in rows]
        return header_line(columns, self._delimiter) + lines_of(cells, self._delimiter) if cells else ""

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        heads = [self._head(piece) for piece in pieces]
        columns = tuple(dict.fromkeys(itertools.chain.from_iterable(names for names, _ in heads)))
        style = Style(columns, self._delimiter, self._encoding or "utf-8")
        if columns:
            target.write(header_line(columns, style.delimiter).encode(style.codec))
        self._write(pieces, heads, style, target)

    def addition(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        style = self._style(existing)
        if style is None:
            self.replacement(pieces, target)
            return
        heads = [self._head(piece) for piece in pieces]
        given = tuple(dict.fromkeys(itertools.chain.from_iterable(names for names, _ in heads)))
        if missing := [name for name in given if name not in style.columns]:
            raise _lacking(existing.shown, missing, style.columns)
        if given and style.line_is_open:
            target.write(style.newline.encode(without_mark(style.codec)))
        self._write(pieces, heads, style, target)

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        style = self._style(existing, thoroughly=True)
        missing = [name for name in columns if style is not None and name not in style.columns]
        if style is not None and missing:
            raise _lacking(existing.shown, missing, style.columns)

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        style = self._style(existing)
        if style is None:
            return list(rows), []
        if missing := unknown_everywhere(rows, style.columns):
            raise _lacking(existing.shown, missing, style.columns)
        good, failed = (rows, []) if style.codec.startswith("utf-") else _writable(rows, style.codec)
        fit = []
        for row in good:
            strange = [name for name in row.values if name not in style.columns]
            if strange:
                words = f"{existing.shown} has no column '{strange[0]}'; it has {', '.join(style.columns)}."
                failed.append(FailedRow(row.record_id, "missing_column", words))
            else:
                fit.append(row)
        return fit, failed

    def _write(
        self, pieces: Sequence[StoredFile], heads: Sequence[tuple[tuple[str, ...], int]], style: Style, target: BinaryIO
    ) -> None:
        codec = without_mark(style.codec)
        as_it_is = (codec, style.newline, style.delimiter) == ("utf-8", "\n", self._delimiter)
        for piece, (names, body) in zip(pieces, heads, strict=True):
            if not names:
                continue
            with piece.opened() as (stream, _):
                stream.seek(body)
                if as_it_is and names == style.columns:
                    shutil.copyfileobj(stream, target, 1024 * 1024)
                    continue
                text = stream.read().decode("utf-8")
            rows = _ordered(rows_of(text, self._delimiter), names, style.columns)
            target.write(lines_of(rows, style.delimiter, style.newline).encode(codec))

    def _head(self, piece: StoredFile) -> tuple[tuple[str, ...], int]:
        """Return the columns of a part, and the byte at which its rows begin."""
        head = b""
        with piece.opened() as (stream, _):
            for line in stream:
                head += line
                if head.count(b'"') % 2 == 0:  # no name goes on in the next line
                    names = next(rows_of(head.decode("utf-8"), self._delimiter))
                    return tuple(name or "" for name in names), len(head)
        return (), 0

    def _style(self, existing: StoredFile, *, thoroughly: bool = False) -> Style | None:
        """Tell how the file is written; None where there is none, or no record in it. Raises `DestinationError` where
        nothing can be added to it. `thoroughly`: look at all of it, not at its header alone."""
        if existing.state() is None:
            return None
        with opened(existing, self._encoding) as file:
            dialect = Dialect(self._declared or self._delimiter, '"')
            header = header_of(file, dialect, self._declared, present=True, columns=None)
            if header is None:
                return None
            if thoroughly and file.size <= READ_THROUGH:
                self._see_all(file, header.dialect)
            first = next(iter(file.lines(header.first)))
            ends = next((end for end in ("\r\n", "\r") if first.endswith(end)), "\n")
            return Style(header.columns, header.dialect.delimiter, file.encoding.codec, ends, line_is_open(file))

    def _see_all(self, file: TextFile, dialect: Dialect) -> None:
        form = CsvReader(
            dialect,
            encoding=self._encoding,
            delimiter=dialect.delimiter,
            header=True,
            columns=None,
            null_values=(),
            max_field=file.size + 1,
        )
        mark, size = FilePosition(), file.size
        while mark.offset < size:
            records, mark = form.read(file, mark, _PAGE)
            for record in records:
                if record.error is not None and record.error.code in ("encoding", "nul_byte", "unclosed_quote"):
                    raise DestinationError(f"{record.error} So no rows can be added to the file; correct it first.")


def _ordered(rows: Iterable[Cells], names: Sequence[str], columns: Sequence[str]) -> list[Cells]:
    """Return the cells of each row in the order of `columns`; null where the row has none."""
    places = [names.index(column) if column in names else None for column in columns]
    return [[None if place is None else row[place] for place in places] for row in rows]


def _writable(rows: Sequence[Row], codec: str) -> tuple[list[Row], list[FailedRow]]:
    """Return the rows that can be written in an encoding, and those that cannot."""
    good: list[Row] = []
    failed: list[FailedRow] = []
    for row in rows:
        try:
            for name, value in row.values.items():
                name.encode(codec)
                (cell(value) or "").encode(codec)
        except UnicodeEncodeError as error:
            found = error.object[error.start]
            words = f"The field '{name}' holds U+{ord(found):04X}, which {error.encoding} text cannot hold."
            failed.append(FailedRow(row.record_id, "encoding", words))
        else:
            good.append(row)
    return good, failed


def _lacking(path: str, missing: Sequence[str], known: Sequence[str]) -> DestinationError:
    shown = ", ".join(f"'{name}'" for name in missing)
    return DestinationError(
        f"{path} has no column {shown}; it has {', '.join(known)}. Mode append adds rows and no columns: leave it "
        "out of the output and of load.include, add the column to the file, or name another file."
    )
