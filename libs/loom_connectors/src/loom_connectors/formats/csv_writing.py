"""Writes rows as CSV text that every reader takes back as it was: null is an empty field, empty text is `""`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from loom_connectors.values import value_text

Cells = Sequence[str | None]


def cell(value: Any) -> str | None:
    """Write a value as a field; return None for null."""
    return None if value is None else value_text(value)


def lines_of(rows: Sequence[Cells], delimiter: str, newline: str = "\n") -> str:
    """Write the rows as lines."""
    if not any("" in row for row in rows):
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=delimiter, lineterminator=newline).writerows(rows)
        text = buffer.getvalue()
        if newline == "\n" and "\r" not in text:  # Python 3.11 leaves a lone carriage return unquoted
            return text
    return _quoted(rows, delimiter, newline)


def header_line(columns: Sequence[str], delimiter: str, newline: str = "\n") -> str:
    """Write the names, quoted where another delimiter stands in them, so that a reader does not take it for the
    file's."""
    special = re.compile(r'[",;\t|\r\n ]|' + re.escape(delimiter))
    return delimiter.join(_field(name, special) for name in columns) + newline


def _quoted(rows: Sequence[Cells], delimiter: str, newline: str) -> str:
    special = re.compile(f'["\r\n{re.escape(delimiter)}]')
    single = len(rows[0]) == 1 if rows else False
    # A row that is one null would be a blank line, which readers skip.
    fields = (delimiter.join(_field("" if single and each is None else each, special) for each in row) for row in rows)
    return "".join(f"{line}{newline}" for line in fields)


def _field(value: str | None, special: re.Pattern[str]) -> str:
    if value is None:
        return ""
    if value == "" or special.search(value):
        return '"' + value.replace('"', '""') + '"'
    return value


def rows_of(text: str, delimiter: str) -> Iterator[Cells]:
    """The rows that `lines_of` wrote with line feeds; null and empty text are told apart."""
    other = re.escape(delimiter)
    field = re.compile(f'(?:"((?:[^"]|"")*)"|([^"\n{other}]*))({other}|\n)')
    row: list[str | None] = []
    for match in field.finditer(text):
        quoted, bare, end = match.groups()
        row.append(bare or None if quoted is None else quoted.replace('""', '"'))
        if end == "\n":
            yield row
            row = []
