"""Writes the parts of a JSON Lines destination, and adds to a file that is there. A part is UTF-8 with line feeds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any, BinaryIO

import orjson

from loom_common.errors import DestinationError
from loom_connectors.files.existing_file import READ_THROUGH, line_is_open, opened
from loom_connectors.files.format import FilePosition
from loom_connectors.files.storage import StoredFile
from loom_connectors.files.text_lines import without_mark
from loom_connectors.formats.json_records import Unfit, object_of, see_lines
from loom_connectors.ports.destination import FailedRow, Row


class JsonLinesWriter:
    """Writes the part of a batch, and joins parts into a file, or to the end of one."""

    def __init__(self, encoding: str | None = None) -> None:
        self._encoding = encoding

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        return b"".join(_line(row.values) for row in rows), []

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        codec = self._encoding or "utf-8"
        if codec == "utf-8":
            for piece in pieces:
                with piece.opened() as (stream, _):
                    shutil.copyfileobj(stream, target, 1024 * 1024)
            return
        target.write("".encode(codec))  # its byte order mark, where it has one
        _transcoded(pieces, without_mark(codec), target)

    def addition(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        if not _size(existing):
            self.replacement(pieces, target)
            return
        with opened(existing, self._encoding) as file:
            see_lines(file)
            codec, is_open = file.encoding.codec, line_is_open(file)
        if is_open and any(map(_size, pieces)):
            target.write("\n".encode(codec))
        _transcoded(pieces, codec, target)

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        """Any columns may join: each line has names of its own."""
        if existing.state() is None:
            return
        with opened(existing, self._encoding) as file:
            see_lines(file)
            if file.size > READ_THROUGH:
                return
            lines, last = file.lines(FilePosition()), ""
            for last in lines:  # noqa: B007  # the last one is looked at
                if lines.trouble is not None:
                    raise DestinationError(f"{lines.trouble} So no rows can be added to the file; correct it first.")
            if last.strip() and line_is_open(file):
                try:
                    object_of(last)
                except Unfit as unfit:
                    raise DestinationError(
                        f"{existing.shown} line {lines.number}: the last line is cut off: {unfit} Complete it or "
                        "remove it, so that rows can be added after it."
                    ) from None

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        """Every row fits: what an encoding lacks is written as an escape."""
        return list(rows), []


def _transcoded(pieces: Sequence[StoredFile], codec: str, target: BinaryIO) -> None:
    for piece in pieces:
        with piece.opened() as (stream, _):
            if codec == "utf-8":
                shutil.copyfileobj(stream, target, 1024 * 1024)
                continue
            for line in stream:
                text = line.decode("utf-8")
                try:
                    target.write(text.encode(codec))
                except UnicodeEncodeError:
                    target.write(f"{json.dumps(json.loads(text))}\n".encode(codec))


def _size(file: StoredFile) -> int:
    """Return the size in bytes; 0 where it is not there."""
    state = file.state()
    return 0 if state is None else state.size


def _line(row: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # orjson does not write integers past 64 bits and lone surrogates, which are valid JSON
        return json.dumps(row).encode() + b"\n"
