"""How a CSV destination writes: UTF-8, line feeds, quotes where needed; null is the empty field."""

from __future__ import annotations

import csv
import io
import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from loom_common.errors import DestinationError
from loom_connectors.lines import Encoding, Lines
from loom_connectors.values import json_text

_UTF8 = Encoding("utf-8", 0, b"\n")
_MARKED_UTF8 = Encoding("utf-8", 3, b"\n")


class CsvParts:
    """Writes the part of a batch, and joins parts into one file whose columns are those of all parts."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter

    def part(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
        if not columns:
            return b""
        cells = [[_cell(row.get(column)) for column in columns] for row in rows]
        return self._lines([columns, *cells])

    def join(self, pieces: Sequence[Path], target: BinaryIO) -> None:
        heads = [self._head(piece) for piece in pieces]
        columns = tuple(dict.fromkeys(itertools.chain.from_iterable(names for names, _ in heads)))
        if columns:
            target.write(self._lines([columns]))
        for piece, (names, body) in zip(pieces, heads, strict=True):
            if not names:
                continue
            with piece.open("rb") as stream:
                if names == columns:
                    stream.seek(body)
                    shutil.copyfileobj(stream, target, 1024 * 1024)
                    _end_line(stream, body, target)
                else:
                    self._widen(stream, piece, names, body, columns, target)

    def _widen(
        self, stream: BinaryIO, piece: Path, names: Sequence[str], body: int, columns: Sequence[str], target: BinaryIO
    ) -> None:
        """Copy the rows of a piece whose columns are not those of the whole."""
        lines = Lines(stream, _UTF8, str(piece), body, 1)
        for fields in csv.reader(lines, delimiter=self._delimiter):
            if fields and len(fields) != len(names):
                raise DestinationError(
                    f"{piece} line {lines.number}: {len(fields)} fields, expected {len(names)}. New columns cannot be "
                    "added to a file with ragged rows; correct it, or name another file."
                )
            row = dict(zip(names, fields, strict=False))
            if fields:
                target.write(self._lines([[row.get(column, "") for column in columns]]))

    def _head(self, piece: Path) -> tuple[tuple[str, ...], int]:
        """The columns of a piece, and the byte at which its rows begin."""
        with piece.open("rb") as stream:
            encoding = _MARKED_UTF8 if stream.read(3) == b"\xef\xbb\xbf" else _UTF8
            lines = Lines(stream, encoding, str(piece), 0, 0)
            fields = next(iter(csv.reader(lines, delimiter=self._delimiter)), [])
        return tuple(fields), lines.offset

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = self._written(rows, csv.QUOTE_MINIMAL)
        if "\r" in text:  # Python 3.11 leaves a lone carriage return unquoted, where it would break the line
            text = self._written(rows, csv.QUOTE_ALL)
        return text.encode("utf-8", "backslashreplace")

    def _written(self, rows: Sequence[Sequence[str]], quoting: Any) -> str:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=self._delimiter, lineterminator="\n", quoting=quoting).writerows(rows)
        return buffer.getvalue()


def _end_line(stream: BinaryIO, body: int, target: BinaryIO) -> None:
    """A piece whose last line lacks its end (a file somebody else wrote) must not run into the next one."""
    if stream.tell() > body:
        stream.seek(-1, io.SEEK_END)
        if stream.read(1) != b"\n":
            target.write(b"\n")


def _cell(value: Any) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json_text(value)
        case _:
            return str(value)
