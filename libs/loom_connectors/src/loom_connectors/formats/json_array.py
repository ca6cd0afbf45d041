"""Implements a JSON file that is one array of objects, as a `Format`. It is read and written in constant memory."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydantic import Field

from loom_common.errors import DestinationError, RecordError, SourceError
from loom_connectors.files.format import (
    COMPRESSION,
    Compressed,
    FileOptions,
    FilePosition,
    FileSourceOptions,
    TextFile,
    TextOptions,
)
from loom_connectors.files.storage import StoredFile
from loom_connectors.files.text_lines import LONGEST_LINE
from loom_connectors.formats.json_records import Unfit, object_of
from loom_connectors.formats.jsonl_parts import JsonLinesWriter
from loom_connectors.options import options_of
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.ports.source import ReadRecord

_CHUNK = 256 * 1024
_KEPT = 64 * 1024
"""The number of characters that are kept of an item that is no record."""
_SPACE = b" \t\r\n"
_STOPS = re.compile(rb'["{}\[\],]')
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TAIL = 64 * 1024


class JsonArrayOptions(TextOptions, FileSourceOptions):
    """Says how a JSON file is written."""


class JsonArrayDestinationOptions(FileOptions):
    """Says how a JSON file is to be written: UTF-8, one object on each line."""

    compression: Compressed | None = Field(None, description=COMPRESSION)


class JsonArrayFormat:
    """Implements JSON files."""

    source_options = JsonArrayOptions
    destination_options = JsonArrayDestinationOptions

    def reader(self, options: Mapping[str, Any]) -> "JsonArrayReader":
        return JsonArrayReader(options_of(JsonArrayOptions, options, "extract"))

    def writer(self, options: Mapping[str, Any], name: str) -> "JsonArrayWriter":
        options_of(JsonArrayDestinationOptions, options, "load")
        return JsonArrayWriter()


@dataclass(frozen=True, slots=True)
class _Item:
    """Represents what stands between two commas of the array."""

    raw: bytes
    end: int
    """The byte at which it ends: that of a comma, or of the bracket that closes the array."""
    fault: str | None = None


class JsonArrayReader:
    """Reads the objects of an array."""

    def __init__(self, options: JsonArrayOptions) -> None:
        self.encoding = options.encoding

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        self._first(file)

    def read(self, file: TextFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        offset, number = mark.offset, mark.line
        if number == 0:
            offset = self._first(file)
        records: list[ReadRecord] = []
        scan = _Scan(file.stream, offset)
        while len(records) < limit:
            item = scan.next()
            text = item.raw.strip(_SPACE)
            closes = scan.at(item.end) != b","
            if text or not closes:
                number += 1
                records.append(self._record(file, number, item, text))
            if closes:
                if item.fault is None and (rest := scan.after(item.end + 1)):
                    if len(records) == limit:
                        return records, FilePosition(item.end, number)  # what follows the bracket is on the next page
                    records.append(self._kept_back(file, number + 1, rest, "text after the end of the array."))
                return records, FilePosition(max(file.size, 1), number)
            scan.skip(item.end + 1)
            offset = item.end + 1
        return records, FilePosition(offset, number)

    def count(self, file: TextFile) -> int | None:
        return None

    def _first(self, file: TextFile) -> int:
        """Return the place after the bracket that opens the array. Raises `SourceError` where there is none."""
        if len("a".encode(file.encoding.codec)) != 1:
            raise SourceError(f"{file.shown} is {file.encoding.codec} text; a JSON file is UTF-8. Convert it.")
        file.stream.seek(file.encoding.start)
        head = file.stream.read(_CHUNK)
        start = head.lstrip(_SPACE)
        if start[:1] == b"[":
            return file.encoding.start + len(head) - len(start) + 1
        if start[:1] == b"{":
            raise SourceError(
                f"{file.shown} begins with an object; a JSON file is one array of objects. Where it has one object a "
                "line, say so: `options: {format: jsonl}`. Where the array is a member of the object, take it out: "
                "`jq .name file.json > array.json`."
            )
        if not start:
            raise SourceError(f"{file.shown} is empty; a JSON file without records is an empty array: `[]`.")
        begins = repr(start[:20].decode(errors="replace"))
        raise SourceError(
            f"{file.shown} is no JSON array: it begins with {begins}. Correct the file, or say what it is: "
            "`options: {format: csv}`."
        )

    def _record(self, file: TextFile, number: int, item: _Item, text: bytes) -> ReadRecord:
        if item.fault is not None:
            return self._kept_back(file, number, text, item.fault)
        try:
            decoded = text.decode(file.encoding.codec)
        except UnicodeDecodeError as error:
            words = f"byte 0x{text[error.start]:02x} is not {error.encoding} text."
            return self._kept_back(file, number, text, words, "encoding")
        try:
            return ReadRecord(f"{file.prefix}item {number}", object_of(decoded))
        except Unfit as unfit:
            return self._kept_back(file, number, text, str(unfit), unfit.code)

    def _kept_back(self, file: TextFile, number: int, raw: bytes, words: str, code: str = "bad_json") -> ReadRecord:
        error = RecordError(f"{file.shown} item {number}: {words}", code=code, details={"item": number})
        return ReadRecord(
            f"{file.prefix}item {number}", {"raw": raw.decode("utf-8", "backslashreplace")[:_KEPT]}, error
        )


class _Scan:
    """Finds the commas between the items of an array."""

    def __init__(self, stream: BinaryIO, offset: int) -> None:
        stream.seek(offset)
        self._stream = stream
        self._buffer, self._start = b"", offset
        self._item = 0
        """The place in the buffer at which the item begins."""
        self._ended = False

    def next(self) -> _Item:
        """Return the item that begins here; its end is the file's where the array is not closed. Raises `SourceError`
        where it is so long that its end cannot be told in constant memory."""
        at, depth = self._item, 0
        while True:
            found = _STOPS.search(self._buffer, at)
            string = None
            if found is not None and found[0] == b'"':
                string = _STRING.match(self._buffer, found.start())
            if found is None or (found[0] == b'"' and string is None):
                at = (len(self._buffer) if found is None else found.start()) - self._item
                if len(self._buffer) - self._item > LONGEST_LINE:
                    raise self._too_long()
                if not self._more():
                    return self._cut(len(self._buffer), "the array is not closed after it.")
                at += self._item
                continue
            if string is not None:
                at = string.end()
                continue
            if depth == 0 and found[0] in b",]":
                return self._cut(found.start())
            depth = max(depth + (1 if found[0] in b"{[" else -1 if found[0] in b"}]" else 0), 0)
            at = found.end()

    def at(self, offset: int) -> bytes:
        """Return the byte at a place that `next` gave; none at the end of the file."""
        place = offset - self._start
        return self._buffer[place : place + 1]

    def skip(self, offset: int) -> None:
        """Go on at a place that `next` gave."""
        self._item = offset - self._start

    def after(self, offset: int) -> bytes:
        """Return what follows the array, but for spaces, at most some of it."""
        self.skip(offset)
        while not self._buffer[self._item :].strip(_SPACE):
            self._item = len(self._buffer)
            if not self._more():
                return b""
        return self._buffer[self._item :].strip(_SPACE)[:_KEPT]

    def _cut(self, end: int, fault: str | None = None) -> _Item:
        return _Item(self._buffer[self._item : end], self._start + end, fault)

    def _more(self) -> bool:
        """Read on, and forget what is before the item."""
        chunk = b"" if self._ended else self._stream.read(_CHUNK)
        self._ended = not chunk
        self._buffer = self._buffer[self._item :] + chunk
        self._start += self._item
        self._item = 0
        return bool(chunk)

    def _too_long(self) -> SourceError:
        return SourceError(
            f"An item of the array, which begins at byte {self._start + self._item:,}, has more than {LONGEST_LINE:,} "
            "bytes, or a text in it is never closed. Correct it, or write JSON Lines."
        )


class JsonArrayWriter:
    """Writes an array of objects, one on each line."""

    encoding: str | None = None

    def __init__(self) -> None:
        self._lines = JsonLinesWriter()

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        return self._lines.part(rows)

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        target.write(b"[")
        self._items(pieces, target, begun=False)

    def merged(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        if existing.state() is None:
            self.replacement(pieces, target)
            return
        with existing.opened() as (stream, _):
            end, has_items = _open_end(stream, existing.shown)
            stream.seek(0)
            left = end
            while left and (chunk := stream.read(min(left, _CHUNK))):
                target.write(chunk)
                left -= len(chunk)
        self._items(pieces, target, begun=has_items)

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        """Any columns may join: each object has names of its own."""
        if existing.state() is not None:
            with existing.opened() as (stream, _):
                _open_end(stream, existing.shown)

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        return list(rows), []

    def _items(self, pieces: Sequence[StoredFile], target: BinaryIO, *, begun: bool) -> None:
        for piece in pieces:
            with piece.opened() as (stream, _):
                for line in stream:
                    target.write((b",\n" if begun else b"\n") + line.rstrip(b"\n"))
                    begun = True
        target.write(b"\n]\n")


def _open_end(stream: BinaryIO, shown: str) -> tuple[int, bool]:
    """Return the place after the last item of an array, and whether it has one. Raises `DestinationError` where the
    file is no array of JSON."""
    size = stream.seek(0, 2)
    start = max(size - _TAIL, 0)
    stream.seek(start)
    tail = stream.read(_TAIL).rstrip(_SPACE)
    stream.seek(0)
    head = stream.read(_TAIL).lstrip(b"\xef\xbb\xbf" + _SPACE)
    if head[:1] != b"[" or tail[-1:] != b"]":
        raise DestinationError(f"{shown} is no JSON array, so no rows can be added to it. Name another file.")
    body = tail[:-1].rstrip(_SPACE)
    if body[-1:] == b",":
        raise DestinationError(
            f"{shown} ends in a comma before its bracket, so no rows can be added to it; remove the comma first."
        )
    return start + len(body), not (
        start == 0 and body.endswith(b"[") and len(body.strip(b"\xef\xbb\xbf" + _SPACE)) == 1
    )
