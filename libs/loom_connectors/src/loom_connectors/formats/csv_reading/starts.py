"""Finds where CSV records begin near given byte offsets, without reading the records.

A line feed within quotes ends no record. Where every quote stands as it should, whether a place is within quotes
follows from the number of quotes before it. So all quotes of the file are looked at: each that opens a field must
follow a delimiter or a line end, and each that closes one must precede them. Where one does not, reading may take
another way through the file (`broken.py`), and nothing is told."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

from loom_connectors.files.format import FilePosition, TextFile
from loom_connectors.files.line_starts import LineTooLong, line_starts, whole_lines
from loom_connectors.files.text_lines import LONGEST_LINE
from loom_connectors.formats.csv_reading.broken import Dialect

_FEED = b"\n"


def record_starts(
    file: TextFile, body: FilePosition, dialect: Dialect, offsets: Sequence[int]
) -> list[FilePosition] | None:
    """Return, for each of these ascending byte offsets, the first place at or after it where a record begins, after the
    one at `body`; None where it cannot be told for certain."""
    if dialect.escapechar is not None or file.encoding.newline != _FEED:
        return None
    if dialect.quotechar is None:
        return line_starts(file, body, offsets)
    quote, delimiter = (_byte(each, file.encoding.codec) for each in (dialect.quotechar, dialect.delimiter))
    if quote is None or delimiter is None:
        return None
    scan = _Scan(quote, delimiter, body, offsets)
    try:
        for chunk in whole_lines(file.stream, body.offset):
            if not scan.take(chunk):
                return None
    except LineTooLong:
        return None
    return None if scan.quoted else [place for place in scan.found if place.offset < file.size]


def _byte(character: str, codec: str) -> bytes | None:
    """Return the byte of a character, where no other character has it among its bytes."""
    if codec != "utf-8":
        decoder = codecs.getincrementaldecoder(codec)(errors="replace")
        if not all(decoder.decode(bytes([byte])) for byte in range(256)):  # a byte of several gives no character yet
            return None
    written = character.encode(codec)
    return written if len(written) == 1 else None


class _Scan:
    """Goes over a file in chunks of whole lines."""

    def __init__(self, quote: bytes, delimiter: bytes, body: FilePosition, offsets: Sequence[int]) -> None:
        self.found: list[FilePosition] = []
        self.quoted = False
        """Tells whether a quoted field is open at the end of the last chunk."""
        self._quote = quote
        q, d = re.escape(quote), re.escape(delimiter)
        before, after = b"(?<=[^" + d + q + rb"\n]" + q + b")", b"(?!" + d + b"|" + q + rb"|\r?\n|\Z)"
        self._misplaced = re.compile(q + b"(?:" + after + b"|" + before + b")")
        self._waiting = list(offsets)
        self._body, self._offset, self._line = body, body.offset, body.line
        self._since = 0
        """The most bytes that may have passed since a record ended."""

    def take(self, chunk: bytes) -> bool:
        """Go over the next chunk. False where a quote stands where it should not, or a record is too long."""
        fields = chunk.split(self._quote)
        # What stands outside quotes, with one quote in the place of each quoted field.
        outside = self._quote.join(fields[self.quoted :: 2])
        closes = self.quoted == (len(fields) % 2 == 0)
        if self.quoted:
            outside = self._quote + outside
        if not closes:
            outside += self._quote
        if self._misplaced.search(outside) is not None:
            return False
        if self._since + len(chunk) > LONGEST_LINE // 2:
            return False
        self._since = len(chunk) + (0 if _FEED in outside else self._since)
        while self._waiting and self._waiting[0] <= self._offset + len(chunk):
            if (at := self._start(chunk, max(self._waiting[0] - self._offset, 0))) is None:
                break
            self._waiting.pop(0)
            place = FilePosition(self._offset + at, self._line + chunk.count(_FEED, 0, at))
            if place.offset > self._body.offset and place not in self.found:
                self.found.append(place)
        self._offset, self._line = self._offset + len(chunk), self._line + chunk.count(_FEED)
        self.quoted = not closes
        return True

    def _start(self, chunk: bytes, at: int) -> int | None:
        """Return the first place of the chunk from `at` on where a record begins."""
        if at == 0 and not self.quoted:
            return 0
        at = max(at - 1, 0)
        quoted = self.quoted ^ chunk.count(self._quote, 0, at) % 2
        while (end := chunk.find(_FEED, at)) >= 0:
            quoted ^= chunk.count(self._quote, at, end) % 2
            if not quoted:
                return end + 1
            at = end + 1
        return None
