"""Writes rows in the text format of Postgres's COPY. Postgres turns each text into its column's type.

https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2

Postgres rounds what it could refuse: decimals beyond a column's scale, digits beyond a floating-point number, an offset
of a column without time zone. So the forms below look before it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from loom_common.domain.json_values.whole_numbers import integer_of
from loom_connectors.moments import see_that_it_has_no_offset, see_that_it_is_a_day, see_that_its_seconds_fit
from loom_connectors.ports.destination import Row
from loom_connectors.values import (
    UnfitValue,
    bytes_of,
    json_text,
    kind_word,
    see_that_it_fits_a_double,
    see_that_it_fits_a_single,
    see_that_it_fits_decimals,
    value_text,
)

Write = Callable[[Any], str]
"""A value as text that Postgres reads. Raises `UnfitValue`."""

_ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
"""Says what is written for a character; the backslash is the first, because the others are written with one."""
_ESCAPES = str.maketrans(_ESCAPED)
_TEXTS = frozenset((str, type(None)))
_NULL = "\\N"


def copy_text(
    rows: Sequence[Row], columns: Sequence[str], forms: Mapping[str, str], *, numbered: bool = False
) -> bytes:
    """Write the rows, `columns` of each; `forms` says how a column is written (see `_writer`). Absent values are NULL.

    `numbered` puts the row's place in the batch before it, as one column more. Raises `UnfitValue`."""
    if not rows:
        return b""
    texts: list[Iterable[str]] = [map(str, range(len(rows)))] if numbered else []
    for name in columns:
        try:
            texts.append(_column([row.values.get(name) for row in rows], _writer(forms[name])))
        except UnfitValue as error:
            raise UnfitValue(str(error), name) from None
    lines = map("\t".join, zip(*texts, strict=True))
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _column(values: Sequence[Any], write: Write) -> Sequence[str]:
    """Write the values of one column. Texts are escaped all at once, which takes half of the time. Between them stands
    NUL, which Postgres takes in no text: where a value holds one, each is written by itself, so that it is refused."""
    if write is not _text or not _TEXTS.issuperset(map(type, values)):
        return [_NULL if value is None else write(value) for value in values]
    together = "\0".join([value or "" for value in values])
    if together.count("\0") >= len(values):
        return [_NULL if value is None else write(value) for value in values]
    for character, escaped in _ESCAPED.items():
        together = together.replace(character, escaped)
    texts = together.split("\0")
    if None not in values:
        return texts
    return [_NULL if value is None else text for value, text in zip(values, texts, strict=True)]


@cache
def _writer(form: str) -> Write:
    """Return the writer of `text`, `json`, `array` and the like, with the digits that a column keeps, e.g. `numeric 2`,
    and what an array holds, e.g. `array numeric 2`."""
    name, _, rest = form.partition(" ")
    match name:
        case "array":
            array = _Array(_writer(rest or "text"), in_json=rest == "json", delimiter=";" if rest == "box" else ",")
            return lambda value: array.written(value).translate(_ESCAPES)
        case "numeric":
            return _scaled(int(rest))
        case "moment":
            return _moment(int(rest))
        case "timestamp":
            return _zoneless(_moment(int(rest)))
        case _:
            return _WRITERS[name]


def _text(value: Any) -> str:
    text = value_text(value)
    return text if text.isprintable() and "\\" not in text else text.translate(_ESCAPES)


def _json(value: Any) -> str:
    return json_text(value).translate(_ESCAPES)


def _integer(value: Any) -> str:
    return _text(integer_of(value))


def _double(value: Any) -> str:
    see_that_it_fits_a_double(value)
    return _text(value)


def _single(value: Any) -> str:
    if not isinstance(value, bool | dict | list):
        see_that_it_fits_a_single(value)
    return _text(value)


def _scaled(scale: int) -> Write:
    def write(value: Any) -> str:
        if not isinstance(value, bool | dict | list):
            see_that_it_fits_decimals(value, scale)
        return _text(value)

    return write


def _date(value: Any) -> str:
    see_that_it_is_a_day(value)
    return _text(value)


def _moment(digits: int) -> Write:
    def write(value: Any) -> str:
        see_that_its_seconds_fit(value, digits)
        return _text(value)

    return write


def _zoneless(write: Write) -> Write:
    def written(value: Any) -> str:
        see_that_it_has_no_offset(value)
        return write(value)

    return written


def _bytes(value: Any) -> str:
    if (found := bytes_of(value)) is not None:
        return f"\\\\x{found.hex()}"
    if isinstance(value, dict | list):
        raise UnfitValue(f"{kind_word(value)} cannot be loaded into bytea.")
    return _text(value)


@dataclass(frozen=True, slots=True)
class _Array:
    """Lists as the text of an array."""

    write: Write
    """Returns the text of one element of the array."""
    in_json: bool
    """Tells whether every element is JSON."""
    delimiter: str

    def written(self, value: Any) -> str:
        if isinstance(value, list):
            return "{" + self.delimiter.join(map(self._element, value)) + "}"
        if isinstance(value, str):
            return value
        raise UnfitValue(f"{kind_word(value)} cannot be loaded into an array: expected a list.")

    def _element(self, value: Any) -> str:
        match value:
            case None:
                return "NULL"
            case list():
                return self.written(value)
            case _ if self.in_json:
                text = json_text(value)
            case str():
                self.write(value)  # it may be unfit
                text = value
            case dict() if self.write is not _bytes:
                raise UnfitValue(
                    "a list that holds an object cannot be loaded into an array of another type than json."
                )
            case dict():
                text = self.write(value).replace("\\\\", "\\")
            case _:
                return self.write(value)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITERS: dict[str, Write] = {
    "text": _text,
    "json": _json,
    "integer": _integer,
    "double": _double,
    "single": _single,
    "date": _date,
    "bytes": _bytes,
    "box": _text,
}
