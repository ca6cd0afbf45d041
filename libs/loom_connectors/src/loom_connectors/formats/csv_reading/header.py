"""Reads the header of a CSV file: its delimiter, its columns, and the advice of a person who looks at it."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from loom_common.errors import SourceError
from loom_connectors.files.format import FilePosition, TextFile
from loom_connectors.files.text_lines import Lines
from loom_connectors.formats.csv_reading.broken import Dialect, Fault

_DELIMITERS = ",;\t|"
_RARE_DELIMITERS = ",;\t|:^~\x01\x1f"
_DECLARED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""Excel's way to name the delimiter, on a line before the header."""
_SAMPLE = 20
"""The number of lines that are looked at where a header seems to hold one column."""
_UNSEEN = "\u00ad\u180e\u200b\u2060\ufeff"
"""Characters without width that no name needs: soft hyphen, zero width space, word joiner, byte order mark."""
TOO_LONG = "field larger than field limit"
"""The message of Python's reader for such a field."""
_NAME_THEM = "Correct the header, or name all columns: `options: {columns: [...]}`."


@dataclass(frozen=True, slots=True)
class Header:
    """Says what the beginning of a CSV file tells."""

    columns: tuple[str, ...]
    dialect: Dialect
    body: FilePosition
    """Says where the first record begins."""
    first: FilePosition
    """Says where the header begins."""


def header_of(
    file: TextFile, dialect: Dialect, delimiter: str | None, *, present: bool, columns: Sequence[str] | None
) -> Header | None:
    """Return the header; None for a file without any record. `present`: whether its first record names the columns;
    `columns`: the user's own names; `delimiter`: the user's own. Raises `SourceError` where it cannot be used."""
    start, first, declared = _beginning(file)
    if first is None:
        return None
    likeliest = delimiter or declared or _likeliest(first, dialect.quotechar, file.shown)
    dialect = replace(dialect, delimiter=likeliest)
    if not present:
        return Header(tuple(columns or ()), dialect, start, start)
    fields, body = _fields(file, start, dialect)
    if not columns:
        _see_names(file, fields)
        if len(fields) == 1:
            _see_that_it_is_one_column(file, first, body, dialect)
    names = tuple(columns or (name or f"column_{at}" for at, name in enumerate(fields, 1)))
    if again := twice(names):
        raise SourceError(
            f"{file.shown} line 1: the column '{again}' stands twice in the header. Rename one of them, "
            "or name all columns: `options: {columns: [...]}`."
        )
    return Header(names, dialect, body, start)


class Rows(Protocol):
    """Gives the fields of each record, as Python's reader does."""

    @property
    def line_num(self) -> int:
        """Return the number of lines taken so far."""
        ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


def reader(lines: Iterator[str] | Lines, dialect: Dialect) -> Rows:
    """Give the fields of each record. Raises `csv.Error` for a quote that is not closed as it should be."""
    if dialect.quotechar is None:
        return csv.reader(
            lines,
            delimiter=dialect.delimiter,
            quoting=csv.QUOTE_NONE,
            escapechar=dialect.escapechar,
            skipinitialspace=dialect.skip_initial_space,
            strict=True,
        )
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quotechar,
        escapechar=dialect.escapechar,
        skipinitialspace=dialect.skip_initial_space,
        strict=True,
    )


def twice(names: Sequence[str]) -> str | None:
    """Return the first name that stands twice."""
    return next((name for at, name in enumerate(names) if name in names[:at]), None)


def told(why: Fault | csv.Error, dialect: Dialect, longest: int) -> tuple[str, str]:
    """Return code and message of what is wrong with a record; `longest` is the most characters that a field may
    have."""
    quote = dialect.quotechar or ""
    if why is Fault.UNCLOSED or (isinstance(why, csv.Error) and "unexpected end" in str(why)):
        return "unclosed_quote", f"a quote is opened and never closed. Close it, or write {quote * 2} for a quote."
    if why is Fault.BROKEN or "expected after" in str(why):
        return "broken_quote", (
            f"a quote is opened, and what follows the quote that closes it is neither {dialect.delimiter!r} nor a line "
            f"end. Write {quote * 2} for a quote within quotes; where the file escapes them otherwise, "
            "`options: {escapechar: '\\'}`; where quotes mean nothing, `options: {quotechar: null}`."
        )
    if "field larger" in str(why):
        return "field_too_long", (
            f"a field of more than {longest:,} characters. If it is right, raise `options: {{max_field: ...}}`."
        )
    if "new-line character" in str(why):
        return "bad_csv", "a carriage return outside quotes. Quote the field, or end all lines of the file alike."
    return "bad_csv", f"{why}."


def _beginning(file: TextFile) -> tuple[FilePosition, str | None, str | None]:
    """Tell where the header begins, its first line, and the delimiter that a line before it declares."""
    lines = file.lines(FilePosition())
    start, declared = FilePosition(file.encoding.start), None
    for text in lines:
        if not (bare := text.strip("\r\n")):
            continue
        match = _DECLARED.fullmatch(bare)
        if match is None or declared is not None:
            return start, text, declared
        declared, start = match[1], FilePosition(lines.offset, lines.number)
    return start, None, declared


def _fields(file: TextFile, start: FilePosition, dialect: Dialect) -> tuple[list[str], FilePosition]:
    lines = file.lines(start)
    try:
        fields = next(fields for fields in reader(lines, dialect) if fields)
    except csv.Error as error:
        words = told(error, dialect, csv.field_size_limit())[1]
        raise SourceError(f"{file.shown} line {start.line + 1}: the header cannot be read: {words}") from error
    if lines.trouble is not None:
        raise SourceError(f"{lines.trouble} Without its header, nothing of the file can be read.")
    return fields, FilePosition(lines.offset, lines.number)


def _see_names(file: TextFile, names: Sequence[str]) -> None:
    """Raises `SourceError` for a name with a character that nobody sees, because nobody could write that name."""
    if names[0].startswith("\u00ef\u00bb\u00bf"):
        raise SourceError(
            f"{file.shown} line 1: the header begins with ï»¿, a byte order mark that was read in another encoding. "
            f"Save the file as UTF-8 again. {_NAME_THEM}"
        )
    for at, name in enumerate(names, 1):
        for place, character in enumerate(name):
            if _invisible(character, edge=not name[:place].strip() or not name[place:].strip()):
                told = unicodedata.name(character, "a control character")
                raise SourceError(
                    f"{file.shown} line 1: the name of column {at}, {name!a}, holds an invisible character: "
                    f"U+{ord(character):04X}, {told}. {_NAME_THEM}"
                )


def _invisible(character: str, *, edge: bool) -> bool:
    if character in _UNSEEN:
        return True
    kind = unicodedata.category(character)
    if kind == "Cc":
        return character not in "\t\r\n"
    return edge and character != " " and kind in ("Cf", "Zs", "Zl", "Zp")


def _see_that_it_is_one_column(file: TextFile, first: str, body: FilePosition, dialect: Dialect) -> None:
    """Raises `SourceError` where the lines seem to be divided by another delimiter."""
    rows = [text for text, _ in zip(file.lines(body), range(_SAMPLE), strict=False) if text.strip()]
    for delimiter in _RARE_DELIMITERS.replace(dialect.delimiter, ""):
        number = _outside_quotes(first, dialect.quotechar).count(delimiter)
        if number and len(rows) > 1:
            alike = all(_outside_quotes(row, dialect.quotechar).count(delimiter) == number for row in rows)
            if alike:
                raise SourceError(
                    f"{file.shown} line 1: one column is found, because {dialect.delimiter!r} divides nothing, and "
                    f"{delimiter!r} divides every line alike. Set `options: {{delimiter: {json.dumps(delimiter)}}}`; "
                    "where it really is one column, name it: `options: {columns: [...]}`."
                )


def _likeliest(line: str, quotechar: str | None, shown: str) -> str:
    """Return the delimiter that stands most often in `line` outside quotes. Where none does, and between equals, a
    comma; a tab in files named `.tsv`."""
    bare = _outside_quotes(line, quotechar)
    order = "\t" + _DELIMITERS.replace("\t", "") if shown.lower().endswith(".tsv") else _DELIMITERS
    if order[0] == "\t" and "\t" in bare:
        return "\t"
    return max(order, key=bare.count)


def _outside_quotes(line: str, quotechar: str | None) -> str:
    return "".join(line.split(quotechar)[::2]) if quotechar else line
