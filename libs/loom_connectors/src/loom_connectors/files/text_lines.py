"""Reads lines of a text file as text, with the byte offset and line number of each; bad bytes never raise an unexpected
error."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from loom_common.errors import RecordError

LONGEST_LINE = 16 * 1024 * 1024
"""The number of bytes of a line that are held in memory. A longer one is no record."""
_KEPT = 64 * 1024
"""The number of characters that are kept of a line that is too long."""
LONGEST_PIECE = 64 * 1024
"""The most bytes of a line that are read at once."""
_TOGETHER = 256
"""The most lines that are given together."""

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
    """Gives lines of text, one by one or several together. `offset` and `number` speak of those that were passed."""

    __slots__ = (
        "_codec",
        "_given",
        "_newline",
        "_pieces",
        "_shown",
        "_stream",
        "longest",
        "number",
        "offset",
        "trouble",
    )

    def __init__(self, stream: BinaryIO, encoding: Encoding, shown: str, offset: int, number: int) -> None:
        """Starts at byte `offset`, which follows line `number` (counted from 1; 0 at the start)."""
        self._stream, self._shown = stream, shown
        self._codec, self._newline = encoding.codec, encoding.newline
        self._given: list[int] = []
        """Holds the bytes of each line that was given and not passed yet."""
        self.offset = max(offset, encoding.start)
        self.number = number
        self.longest = 0
        """The bytes of the longest line given so far."""
        self.trouble: RecordError | None = None
        """Says what is wrong with a line given since this was last set to None."""
        stream.seek(self.offset)

    def __iter__(self) -> Iterator[str]:
        """Give one line after the other. Each is passed as it is given."""
        pieces = self._pieces = self._read_pieces()
        for piece in pieces:
            text = self._line(piece, pieces)
            self.pass_to(self.number + 1)
            yield text

    def together(self, wanted: Callable[[], int]) -> Iterator[Sequence[str]]:
        """Give at most as many lines together as are `wanted`, which is asked before they are read, so that nothing is
        read ahead; a line near one with which something is wrong by itself. They are passed by `pass_to`."""
        for read in self.read(wanted):
            yield from self.texts(read)

    def read(self, wanted: Callable[[], int]) -> Iterator[Sequence[bytes]]:
        """Read lines as `together` does. What is read is then to be given in its order: as `texts`, or as `whole`."""
        self._pieces = self._read_pieces()
        while read := list(islice(self._pieces, min(wanted(), _TOGETHER))):
            yield read

    def texts(self, read: Sequence[bytes]) -> Iterator[Sequence[str]]:
        """Give lines that were read, all or the first of them, as text."""
        if (texts := self._sound(read)) is not None:
            yield texts
        else:
            waiting = iter(read)
            for piece in waiting:
                yield (self._line(piece, chain(waiting, self._pieces)),)

    def give(self, read: Sequence[bytes]) -> None:
        """Give lines that were read as they are, of which none is longer than `LONGEST_PIECE`."""
        self._given += map(len, read)

    def pass_to(self, number: int) -> None:
        """Pass the lines up to this one, which were given before."""
        passed = number - self.number
        self.offset += sum(self._given[:passed])
        del self._given[:passed]
        self.number = number

    def _read_pieces(self) -> Iterator[bytes]:
        """Return the lines as bytes, a long one in several pieces."""
        if self._newline == b"\n":
            return iter(partial(self._stream.readline, LONGEST_PIECE), b"")
        return _split(self._stream, self._newline)

    def _sound(self, read: Sequence[bytes]) -> Sequence[str] | None:
        """Return these lines as text; None where one of them is not whole, or something is wrong with it."""
        sizes = list(map(len, read))
        longest = max(sizes)
        if longest >= LONGEST_PIECE:
            return None
        codec = self._codec
        try:
            texts = [each.decode(codec) for each in read]
        except UnicodeDecodeError:
            return None
        if "\0" in "".join(texts):
            return None
        self._given += sizes
        self.longest = max(self.longest, longest)
        return texts

    def _line(self, piece: bytes, pieces: Iterator[bytes]) -> str:
        """Return the line that begins with a piece and goes on in the next ones, and note what is wrong with it."""
        raw = self._whole(piece, pieces)
        size = len(raw)
        try:
            text = raw.decode(self._codec)
        except UnicodeDecodeError as error:
            text = raw.decode(self._codec, "backslashreplace")
            self._note_encoding(raw, error)
        if size >= LONGEST_LINE and not raw.endswith(self._newline):
            size += _rest_of_line(pieces, self._newline)
            text = text[:_KEPT]
            self._note("line_too_long", f"{size:,} bytes without a line end; the first {_KEPT:,} characters are kept.")
        if "\0" in text:
            self._note("nul_byte", "a NUL byte. Remove it, or name the file's encoding: `options: {encoding: ...}`.")
        self._given.append(size)
        self.longest = max(self.longest, size)
        return text

    def _whole(self, piece: bytes, pieces: Iterator[bytes]) -> bytes:
        """Return a line whole, or as much of it as is held in memory."""
        if len(piece) < LONGEST_PIECE or piece.endswith(self._newline):
            return piece
        read, size = [piece], len(piece)
        for each in pieces:
            read.append(each)
            size += len(each)
            if size >= LONGEST_LINE or each.endswith(self._newline):
                break
        return b"".join(read)

    def _note_encoding(self, raw: bytes, error: UnicodeDecodeError) -> None:
        byte, offset = raw[error.start], self.offset + sum(self._given) + error.start
        self._note(
            "encoding",
            f"byte 0x{byte:02x} at byte offset {offset} is not {error.encoding} text. "
            "Name the file's encoding: `options: {encoding: ...}`, for example cp1252.",
        )

    def _note(self, code: str, words: str) -> None:
        """Note what is wrong with the line that is given next."""
        line = self.number + len(self._given) + 1
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
    """Split lines that end in something else than one line feed byte, a long one in pieces."""
    buffer = b""
    while chunk := stream.read(LONGEST_PIECE):
        buffer += chunk
        start = 0
        while (end := _end_of_line(buffer, newline, start)) >= 0:
            yield buffer[start:end]
            start = end
        buffer = buffer[start:]
        if len(buffer) >= LONGEST_PIECE:
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
