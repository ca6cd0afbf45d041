"""Finds where a CSV record that cannot be read ends, so that reading goes on after it.

Python's reader says that a record is broken, not where: it has read on through the file by then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from loom_connectors.files.text_lines import LONGEST_LINE, Lines


@dataclass(frozen=True, slots=True)
class Dialect:
    """Says how a CSV file separates and quotes."""

    delimiter: str
    quotechar: str | None
    escapechar: str | None = None
    skip_initial_space: bool = False


class Fault(StrEnum):
    """Lists what may be wrong with the quotes of a record."""

    BROKEN = "broken_quote"
    """Says what follows a closing quote is neither a delimiter nor a line end."""
    UNCLOSED = "unclosed_quote"
    """A quote is open at the end of the file, or for longer than a record can be."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Says what belongs to a record that cannot be read."""

    raw: str
    """Holds the first `LONGEST_RAW` characters of the record."""
    offset: int
    line: int
    """The place after it: bytes and lines before the next record."""
    fault: Fault | None
    """Says what is wrong with its quotes; None where they are closed as they should be, and something else is wrong."""


LONGEST_RAW = 64 * 1024
"""The number of characters that are kept of a record that cannot be read."""


def extent(lines: Lines, dialect: Dialect) -> Extent:
    """Return the record that begins at `lines`.

    Where its quotes are closed as they should be, it ends with its last line. Otherwise the quoted field that is
    broken ends with the line on which it was opened: the lines after it may well be records of their own."""
    start = lines.offset
    walk = _Walk(dialect)
    opened: tuple[int, int, int] | None = None
    fault = Fault.UNCLOSED
    raw: list[str] = []
    kept = 0
    for text in lines:
        if kept < LONGEST_RAW:
            raw.append(text)
        kept += len(text)
        was_open = walk.quoted
        sound = walk.line(text)
        if opened is None or not was_open or walk.reopened:
            opened = (lines.offset, lines.number, kept)
        if not sound:
            fault = Fault.BROKEN
            break
        if not walk.quoted:
            return Extent("".join(raw)[:LONGEST_RAW].rstrip("\r\n"), lines.offset, lines.number, None)
        if lines.offset - start > LONGEST_LINE:
            break
    offset, line, length = opened or (lines.offset, lines.number, kept)
    return Extent("".join(raw)[: min(length, LONGEST_RAW)].rstrip("\r\n"), offset, line, fault)


class _Walk:
    """Goes over a record line by line."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        escape = re.escape(dialect.escapechar) if dialect.escapechar else ""
        self._in_quotes = re.compile(f"[{re.escape(dialect.quotechar)}{escape}]") if dialect.quotechar else None
        self._outside = re.compile(f"[{re.escape(dialect.delimiter)}{escape}]")
        self.quoted = False
        """Tells whether a quoted field is open at the end of the last line."""
        self.reopened = False
        """Tells whether that field was opened on the last line."""

    def line(self, text: str) -> bool:
        """Go over the next line. False where a closing quote is followed by something else than it should be."""
        content = text.rstrip("\r\n")
        at, self.reopened = 0, False
        while True:
            if self.quoted:
                end = self._closing(content, at)
                if end is None:
                    return True
                self.quoted = False
                if end == len(content):
                    return True
                if content[end] != self._dialect.delimiter:
                    self.quoted = True
                    return False
                at = end + 1
            if self._dialect.skip_initial_space:
                at += len(content[at:]) - len(content[at:].lstrip(" "))
            if self._dialect.quotechar is not None and content.startswith(self._dialect.quotechar, at):
                self.quoted = self.reopened = True
                at += 1
                continue
            found = next(self._stops(self._outside, content, at, self._dialect.delimiter), None)
            if found is None:
                return True
            at = found + 1

    def _closing(self, content: str, at: int) -> int | None:
        """Return the place after the quote that closes the field; None where it is still open at the end of the
        line."""
        quote = self._dialect.quotechar or ""
        assert self._in_quotes is not None
        skip = -1
        for stop in self._stops(self._in_quotes, content, at, quote):
            if stop == skip:
                continue
            if content.startswith(quote, stop + 1):
                skip = stop + 1
                continue
            return stop + 1
        return None

    def _stops(self, pattern: re.Pattern[str], content: str, at: int, wanted: str) -> Iterator[int]:
        """Yield where `wanted` stands from `at` on, unless it is escaped."""
        escaped = -1
        for match in pattern.finditer(content, at):
            if match.start() == escaped:
                continue
            if match[0] == self._dialect.escapechar and match[0] != wanted:
                escaped = match.start() + 1
                continue
            yield match.start()
