"""Writes values as texts that Snowflake casts into a column's type. What the cast would round, cut or take for
something else is refused before."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from loom_common.domain.json_values.whole_numbers import integer_of
from loom_connectors.moments import see_that_it_has_no_offset, see_that_it_is_a_day, see_that_its_seconds_fit
from loom_connectors.ports.destination import Row
from loom_connectors.values import (
    UnfitValue,
    bound_row,
    bytes_of,
    json_text,
    kind_word,
    see_that_it_fits_a_double,
    see_that_it_fits_decimals,
    single,
    value_text,
)

Write = Callable[[Any], str]
"""Returns the text of a value. Raises `UnfitValue`."""

_TYPE = re.compile(r"(\w+)(?:\((.*)\))?")
_MOMENT = re.compile(r"\s*(\d{4}-\d\d-\d\d)(?:[T ]+(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?)?\s*")
_CLOCK = re.compile(r"\s*(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(?:Z|[+-]00(?::?00)?)?\s*")
_TRUTHS = {"true": "true", "false": "false", "1": "true", "0": "false"}
_ENDLESS = {"nan": "NaN", "infinity": "inf", "inf": "inf", "-infinity": "-inf", "-inf": "-inf"}
_MOST_DIGITS = 38


@dataclass(frozen=True, slots=True)
class Writer:
    """Says how the values of a column are written."""

    write: Write
    cast: str
    """SQL for the value in the column's type; `{}` stands for the text."""


@cache
def writer(declared: str) -> Writer:
    """Return the writer of a column by its type, as Snowflake shows it: `NUMBER(38,0)`."""
    found = _TYPE.match(declared)
    name, inside = (found[1], found[2] or "") if found else (declared, "")
    cast = f"CAST({{}} AS {declared})"
    match name:
        case "NUMBER":
            precision, _, scale = inside.partition(",")
            return Writer(_number(int(precision or 38), int(scale or 0)), cast)
        case "VARCHAR":
            return Writer(_text(int(inside or 16_777_216)), cast)
        case "BINARY":
            return Writer(_bytes(int(inside or 8_388_608)), "TO_BINARY({}, 'HEX')")
        case "TIMESTAMP_NTZ" | "TIMESTAMP_LTZ" | "TIMESTAMP_TZ":
            return Writer(_moment(int(inside or 9), zoned=name != "TIMESTAMP_NTZ"), cast)
        case "TIME":
            return Writer(_time(int(inside or 9)), cast)
        case "VARIANT":
            return Writer(_json, "PARSE_JSON({})")
        case "OBJECT" | "ARRAY":
            part = dict if name == "OBJECT" else list
            return Writer(_part(part, name), f"CAST(PARSE_JSON({{}}) AS {name})")
        case _:
            return Writer(_WRITERS.get(name) or _refusing(declared), cast)


def texts_of(rows: Sequence[Row], columns: Sequence[str], types: dict[str, str]) -> list[list[str | None]]:
    """Return the texts of all rows. Raises `UnfitValue`, which names the column."""
    writes = [(name, writer(types[name]).write) for name in columns]
    return [bound_row(row.values, writes) for row in rows]


def _text(length: int) -> Write:
    def write(value: Any) -> str:
        text = value_text(value)
        if len(text) > length:
            raise UnfitValue(f"the text has {len(text)} characters, and the column keeps {length}.")
        return text

    return write


def _number(precision: int, scale: int) -> Write:
    def write(value: Any) -> str:
        number = single(integer_of(value) if scale == 0 else value)
        if isinstance(number, bool):
            number = int(number)
        try:
            written = Decimal(str(number).strip())
        except InvalidOperation:
            written = Decimal("NaN")
        if not written.is_finite():
            raise UnfitValue(f"'{str(number)[:40]}' is no number.")
        see_that_it_fits_decimals(str(number), scale)
        if written and written.adjusted() + 1 > precision - scale:
            raise UnfitValue(
                f"the number {number} has more digits than the column keeps (NUMBER({precision},{scale}))."
            )
        return f"{written:f}"

    return write


def _double(value: Any) -> str:
    text = value_text(single(value)).strip()
    if text.lower() in _ENDLESS:
        return _ENDLESS[text.lower()]
    see_that_it_fits_a_double(value)
    try:
        return repr(float(int(value) if isinstance(value, bool) else text))
    except ValueError:
        raise UnfitValue(f"'{text[:40]}' is no number.") from None


def _truth(value: Any) -> str:
    text = value_text(single(value)).strip().lower()
    if text not in _TRUTHS:
        raise UnfitValue(f"'{text[:40]}' is no boolean.")
    return _TRUTHS[text]


def _date(value: Any) -> str:
    see_that_it_is_a_day(single(value))
    return _read(_MOMENT, value, "day")[1]


def _time(digits: int) -> Write:
    def write(value: Any) -> str:
        see_that_its_seconds_fit(single(value), digits)
        see_that_it_has_no_offset(value)
        return _read(_CLOCK, value, "time")[1]

    return write


def _moment(digits: int, *, zoned: bool) -> Write:
    def write(value: Any) -> str:
        see_that_its_seconds_fit(single(value), digits)
        if not zoned:
            see_that_it_has_no_offset(value)
        day, time, offset = _read(_MOMENT, value, "moment").groups()
        text = f"{day}T{time or '00:00:00'}"
        text = text if text.count(":") > 1 else f"{text}:00"
        if not zoned:
            return text
        if offset in (None, "Z"):
            return f"{text}+00:00"
        hours, minutes = offset[:3], offset.replace(":", "")[3:]
        return f"{text}{hours}:{minutes or '00'}"

    return write


def _read(form: re.Pattern[str], value: Any, what: str) -> re.Match[str]:
    """Read the text of a day or a time. Raises `UnfitValue` for one that is none."""
    found = form.fullmatch(value_text(value))
    try:
        if found is None:
            raise ValueError
        if form is _MOMENT:
            dt.datetime.fromisoformat(f"{found[1]}T{(found[2] or '00:00')[:8]}")
        else:
            dt.time.fromisoformat(found[1][:8])
    except ValueError:
        raise UnfitValue(f"'{str(value)[:40]}' is no {what}.") from None
    return found


def _bytes(length: int) -> Write:
    def write(value: Any) -> str:
        found = bytes_of(value)
        if found is None:
            raise UnfitValue(f'{kind_word(value)} cannot be loaded into a column of bytes: expected {{"$bytes": ...}}.')
        if len(found) > length:
            raise UnfitValue(f"the value has {len(found)} bytes, and the column keeps {length}.")
        return found.hex()

    return write


def _json(value: Any) -> str:
    _see_38_digits(value)
    return json_text(value)


def _part(kind: type, name: str) -> Write:
    def write(value: Any) -> str:
        if not isinstance(value, kind):
            raise UnfitValue(f"{kind_word(value)} cannot be loaded into a column of type {name}.")
        return _json(value)

    return write


def _see_38_digits(value: Any) -> None:
    """Raise `UnfitValue` for a whole number that Snowflake's JSON keeps as a floating-point number."""
    match value:
        case int() if abs(value) >= 10**_MOST_DIGITS:
            raise UnfitValue(f"the integer {value} does not fit the {_MOST_DIGITS} digits that Snowflake's JSON keeps.")
        case dict():
            for each in value.values():
                _see_38_digits(each)
        case list():
            for each in value:
                _see_38_digits(each)


def _refusing(kind: str) -> Write:
    def refuse(_value: Any) -> str:
        raise UnfitValue(f"a column of type {kind} cannot be loaded. Leave it out of the output and of load.include.")

    return refuse


_WRITERS: dict[str, Write] = {"FLOAT": _double, "BOOLEAN": _truth, "DATE": _date}
