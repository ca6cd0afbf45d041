"""Reads the records of many lines of CSV at once, the same ones that Python's reader finds line by line (ADR 82).

A line without quotes is a record. Such lines become a JSON array of arrays by three replacements, and msgspec decodes
it: that takes half of the time of Python's reader, which looks at each character by itself. Lines with quotes are left
to Python's reader. It also tells what lines are that are not as expected: those are not divided here."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, NamedTuple

import msgspec

from loom_connectors.files.text_lines import LONGEST_PIECE, Encoding
from loom_connectors.formats.csv_reading.broken import Dialect
from loom_connectors.formats.csv_reading.header import reader

_FEED, _RETURN = b"\n", b"\r"
_NEXT_FIELD, _NEXT_ROW, _AT_RETURN = b'","', b'"],["', b'",null,"'
"""Stand for a delimiter, a line feed and a carriage return. Each begins and ends with a quote, so that all that stands
between them is within the quotes of a JSON text."""


class Divided(NamedTuple):
    """Holds records, the first of which begins at the first line."""

    lines: int
    """The number of lines that they have."""
    starts: Sequence[int]
    """Holds for each the number of lines before it."""
    rows: Sequence[Sequence[Any]]
    """Holds the fields of each. Values may follow them that mean nothing."""


class PlainLines:
    """Finds the records in lines of one file."""

    def __init__(self, dialect: Dialect, encoding: Encoding, columns: int, max_field: int) -> None:
        self._dialect = dialect
        self._columns = columns
        self._delimiter = dialect.delimiter.encode()
        self._quote = (dialect.quotechar or '"').encode()
        self._quote_byte = self._quote[0]  # lines are searched faster for it than for bytes
        self._longest = min(max_field, LONGEST_PIECE - 1)
        self._after_feed, self._after_return = _decoders(columns)
        self._none = (
            columns < 2  # of one column, an empty line would be a record
            or dialect.quotechar is None
            or len(self._quote) > 1
            or dialect.escapechar is not None
            or dialect.skip_initial_space
            or dialect.delimiter in "\r\n"
            or (encoding.codec, encoding.newline) != ("utf-8", _FEED)
        )

    def divided(self, lines: Sequence[bytes]) -> Divided | None:
        """Return the records of lines at whose beginning a record begins, but the last where it may go on after them.
        None where there is a line that is not as expected, or most are quoted."""
        if self._none or max(map(len, lines)) > self._longest:
            return None
        quote = self._quote_byte
        quoted = [at for at, line in enumerate(lines) if quote in line]
        if len(quoted) > len(lines) // 2:
            return None
        groups, end = self._groups(lines, quoted)
        if not groups:
            rows = self._plain_rows(lines[:end])
            return None if rows is None else Divided(end, range(end), rows)
        edges = [0, *chain.from_iterable(groups), end]
        plain = [lines[begin:until] for begin, until in zip(edges[::2], edges[1::2], strict=True)]
        rows, others = self._plain_rows(list(chain.from_iterable(plain))), self._quoted_rows(lines, groups)
        if rows is None or others is None:
            return None
        starts: list[int] = []
        merged: list[Sequence[Any]] = []
        at = passed = 0
        for (begin, until), row in zip(groups, others, strict=True):
            starts.extend(range(at, begin + 1))
            merged.extend(rows[passed : passed + begin - at])
            merged.append(row)
            passed, at = passed + begin - at, until
        starts.extend(range(at, end))
        merged.extend(rows[passed:])
        return Divided(end, starts, merged)

    def through_quotes(self, lines: Sequence[bytes]) -> int:
        """Return how many lines there are up to the first one with a quote, which may end a record; all where none is
        divided here."""
        if self._none or max(map(len, lines)) > self._longest:
            return len(lines)
        return next((at for at, line in enumerate(lines, 1) if self._quote_byte in line), len(lines))

    def _groups(self, lines: Sequence[bytes], quoted: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
        """Return where records with quotes begin and end, and the line before which all of them have ended."""
        groups: list[tuple[int, int]] = []
        begun: int | None = None
        for at in quoted:
            if lines[at].count(self._quote) % 2 == 0:
                if begun is None:
                    groups.append((at, at + 1))
            elif begun is None:
                begun = at
            else:
                groups.append((begun, at + 1))
                begun = None
        return groups, len(lines) if begun is None else begun

    def _plain_rows(self, lines: Sequence[bytes]) -> Sequence[Sequence[Any]] | None:
        """Return the fields of each of these lines, none of which has quotes."""
        text = b"".join(lines)
        if not text:
            return ()
        if b'"' in text or b"\\" in text:
            return None
        body = text.removesuffix(_FEED).replace(self._delimiter, _NEXT_FIELD)
        decoder = self._after_feed
        if text.endswith(b"\r\n"):
            decoder, body = self._after_return, body.replace(_RETURN, _AT_RETURN)
        try:
            return decoder.decode(b'[["%b"]]' % body.replace(_FEED, _NEXT_ROW))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _quoted_rows(self, lines: Sequence[bytes], groups: Sequence[tuple[int, int]]) -> Sequence[Sequence[Any]] | None:
        """Return the fields of each of these records; None where Python's reader takes another number of lines for
        one, or finds something wrong with it."""
        given = [line for begin, until in groups for line in lines[begin:until]]
        if any(b"\0" in line for line in given):
            return None
        rows: list[Sequence[Any]] = []
        ends = 0
        try:
            table = reader(iter([line.decode() for line in given]), self._dialect)
            for (begin, until), row in zip(groups, table, strict=True):
                ends += until - begin
                if table.line_num != ends or len(row) != self._columns:
                    return None
                if until - begin > 1 and max(map(len, row)) > self._longest:
                    return None
                rows.append(row)
        except (csv.Error, UnicodeDecodeError, ValueError):
            return None
        return rows


_Decoder = msgspec.json.Decoder[list[tuple[Any, ...]]]


@lru_cache(maxsize=64)
def _decoders(columns: int) -> tuple[_Decoder, _Decoder]:
    """Return decoders of rows with so many fields, whose lines end in a line feed, and in a carriage return and a line
    feed. The latter leave a null and an empty text behind, which a carriage return in no other place does. They refuse
    a control character, and what is not UTF-8."""
    fields = (str,) * columns
    return (
        msgspec.json.Decoder(list[tuple[fields]]),  # type: ignore[valid-type]  # it is known at run time
        msgspec.json.Decoder(list[tuple[*fields, None, Literal[""]]]),  # type: ignore[valid-type]  # likewise
    )
