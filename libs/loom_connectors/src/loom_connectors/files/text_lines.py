"""Reads lines of a text file as text, with the byte offset and line number of each; bad bytes never raise an unexpected
error."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from loom_common.errors import RecordError

LONGEST_LINE = 16 * 1024 * 1024
"""The number of bytes of a line that are held in memory. A longer one is no record."""
_KEPT = 64 * 1024
"""The number of characters that are kept of a line that is too long."""
_CHUNK = 256 * 1024

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # it stands before utf-16-le, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Says how bytes become lines of text."""

    codec: str
    start: int
    """The number of bytes of the byte order mark, to be skipped."""
    newline: bytes
    """Says what ends a line; a lone carriage return only in files that have no line feed."""


def usable(name: str) -> str:
    """Return the codec's own name. Raises `ValueError` for one that lines cannot be read in."""
    try:
        codec = codecs.lookup(name).name
        probe = "a\n".encode(codec)
    except LookupError:
        raise ValueError(
            f"a text encoding Python knows, such as utf-8, cp1252, latin-1 or utf-16; not {name!r}"
        ) from None
    if probe != b"a\n" and not codec.startswith(("utf-16", "utf-32", "utf-8")):
        raise ValueError(f"an encoding that extends ASCII, or utf-16 or utf-32; not {name!r}")
    return codec


def without_mark(codec: str) -> str:
    """Return the codec for text that does not begin its file."""
    return _WITHOUT_MARK.get(codec, codec)


def encoding_of(head: bytes, declared: str | None) -> Encoding:
    """Return the encoding of a file by its first bytes: its byte order mark, else what was declared, else UTF-8."""
    codec, start = _WITHOUT_MARK.get(declared or "utf-8", declared or "utf-8"), 0
    for mark, marked in MARKS:
        if head.startswith(mark) and (declared is None or marked.startswith(declared.removesuffix("-sig"))):
            codec, start = marked, len(mark)
            break
    feed, carriage = "\n".encode(codec), "\r".encode(codec)
    alone = _end_of_line(head, feed, start) < 0 <= _end_of_line(head, carriage, start)
    return Encoding(codec, start, carriage if alone else feed)


class Lines:
    """Iterates over lines of text. `offset`, `number` and `trouble` speak of the lines given so far."""

    __slots__ = ("_encoding", "_shown", "_stream", "number", "offset", "trouble")

    def __init__(self, stream: BinaryIO, encoding: Encoding, shown: str, offset: int, number: int) -> None:
        """Starts at byte `offset`, which follows line `number` (counted from 1; 0 at the start)."""
        self._stream, self._encoding, self._shown = stream, encoding, shown
        self.offset = max(offset, encoding.start)
        self.number = number
        self.trouble: RecordError | None = None
        """Says what is wrong with a line given since this was last set to None."""
        stream.seek(self.offset)

    def __iter__(self) -> Iterator[str]:
        codec, newline = self._encoding.codec, self._encoding.newline
        readline = partial(self._stream.readline, LONGEST_LINE)
        pieces = iter(readline, b"") if newline == b"\n" else _split(self._stream, newline)
        for raw in pieces:
            size = len(raw)
            try:
                text = raw.decode(codec)
            except UnicodeDecodeError as error:
                text = raw.decode(codec, "backslashreplace")
                self._note_encoding(raw, error)
            if size >= LONGEST_LINE and not raw.endswith(newline):
                size += _rest_of_line(pieces, newline)
                text = text[:_KEPT]
                self._note(
                    "line_too_long", f"{size:,} bytes without a line end; the first {_KEPT:,} characters are kept."
                )
            self.offset += size
            self.number += 1
            if "\0" in text:
                self._note(
                    "nul_byte", "a NUL byte. Remove it, or name the file's encoding: `options: {encoding: ...}`.", at=0
                )
            yield text

    def _note_encoding(self, raw: bytes, error: UnicodeDecodeError) -> None:
        byte, offset = raw[error.start], self.offset + error.start
        self._note(
            "encoding",
            f"byte 0x{byte:02x} at byte offset {offset} is not {error.encoding} text. "
            "Name the file's encoding: `options: {encoding: ...}`, for example cp1252.",
        )

    def _note(self, code: str, words: str, at: int = 1) -> None:
        line = self.number + at
        if self.trouble is None:
            self.trouble = RecordError(f"{self._shown} line {line}: {words}", code=code, details={"line": line})


def _rest_of_line(pieces: Iterator[bytes], newline: bytes) -> int:
    size = 0
    for piece in pieces:
        size += len(piece)
        if piece.endswith(newline):
            break
    return size


def _split(stream: BinaryIO, newline: bytes) -> Iterator[bytes]:
    """Split lines that end in something else than one line feed byte, in pieces of about `LONGEST_LINE` at most."""
    buffer = b""
    while chunk := stream.read(_CHUNK):
        buffer += chunk
        start = 0
        while (end := _end_of_line(buffer, newline, start)) >= 0:
            yield buffer[start:end]
            start = end
        buffer = buffer[start:]
        if len(buffer) >= LONGEST_LINE:
            yield buffer
            buffer = b""
    if buffer:
        yield buffer


def _end_of_line(buffer: bytes, newline: bytes, start: int) -> int:
    """Return the place just after the next line end, looked for at whole characters from `start`; -1 where there is
    none."""
    at = buffer.find(newline, start)
    while at >= 0 and (at - start) % len(newline):
        at = buffer.find(newline, at + 1)
    return -1 if at < 0 else at + len(newline)
