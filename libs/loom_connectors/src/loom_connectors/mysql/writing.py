"""Binds values for MySQL's columns. What the server would round, cut or take for something else is refused before.

In strict mode the server refuses most values that do not fit, but it rounds decimals and fractions of seconds, cuts the
time off a day and blanks off a text, and takes a number in an enum for the number of a member."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from typing import Any

from loom_common.domain.json_values.kinds import kind_of
from loom_common.domain.json_values.whole_numbers import integer_of
from loom_connectors.moments import see_that_it_has_no_offset, see_that_it_is_a_day, see_that_its_seconds_fit
from loom_connectors.values import (
    Bind,
    UnfitValue,
    bytes_of,
    json_text,
    see_that_it_fits_a_double,
    see_that_it_fits_decimals,
    single,
    single_text,
    value_text,
)

_TYPE = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_MEMBER = re.compile(r"'((?:[^']|'')*)'")
_ZONED = re.compile(r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)$")
_TRUTHS = {"true": 1, "false": 0}
_BITS = re.compile("[01]+")
_YEARS = range(1901, 2156)


@cache
def binder(declared: str) -> Bind:
    """Say how values are bound for a column of a type, as MySQL shows it: `decimal(10,2)`, `enum('a','b')`."""
    found = _TYPE.match(declared)
    name, inside = (found[1], found[2] or "") if found else (declared, "")
    match name:
        case "char" | "varchar":
            return _text_of(int(inside), padded=name == "char")
        case "tinyint" if inside == "1":
            return _truth
        case "enum":
            return _member_of(_members(inside))
        case "set":
            return _set_of(_members(inside))
        case "decimal":
            return _decimal(int(inside.partition(",")[2] or 0))
        case "float" | "double" if "," in inside:
            return _rounded(_BINDERS[name], int(inside.partition(",")[2]))
        case "datetime" | "time":
            return _zoneless(int(inside or 0))
        case "timestamp":
            return _moment(int(inside or 0))
        case _:
            return _BINDERS.get(name, value_text)


def _members(inside: str) -> frozenset[str]:
    return frozenset(each.replace("''", "'") for each in _MEMBER.findall(inside))


def _text_of(length: int, *, padded: bool) -> Bind:
    def bind(value: Any) -> str:
        text = value_text(value)
        if len(text) > length:
            raise UnfitValue(f"the text has {len(text)} characters, and the column keeps {length}.")
        if padded and text.endswith(" "):
            raise UnfitValue("the blanks at the end of the text would be lost in a CHAR column. Make it VARCHAR.")
        return text

    return bind


def _member_of(members: frozenset[str]) -> Bind:
    def bind(value: Any) -> str:
        text = value_text(value)
        if text not in members:
            raise UnfitValue(f"'{text[:40]}' is none of the column's values ({', '.join(sorted(members))}).")
        return text

    return bind


def _set_of(members: frozenset[str]) -> Bind:
    def bind(value: Any) -> str:
        text = value_text(value)
        if strange := next((each for each in text.split(",") if text and each not in members), None):
            raise UnfitValue(f"'{strange[:40]}' is none of the column's values ({', '.join(sorted(members))}).")
        return text

    return bind


def _whole(value: Any) -> Any:
    number = single(integer_of(value))
    if isinstance(number, bool):
        return int(number)
    if not isinstance(number, int) and not _WHOLE.fullmatch(str(number)):
        raise UnfitValue(f"'{str(number)[:40]}' is no whole number.")
    return int(number)


def _truth(value: Any) -> Any:
    """Bind a value of a BOOLEAN, which is a TINYINT(1)."""
    return _TRUTHS[value] if isinstance(value, str) and value in _TRUTHS else _whole(value)


def _year(value: Any) -> int:
    year = int(_whole(value))
    if year != 0 and year not in _YEARS:
        raise UnfitValue(f"{year} is no year that the column keeps (1901 to 2155).")
    return year


def _double(value: Any) -> Any:
    see_that_it_fits_a_double(single(value))
    return value_text(value)


def _single(value: Any) -> Any:
    return value_text(value) if isinstance(single(value), bool) else single_text(value)


def _rounded(bind: Bind, scale: int) -> Bind:
    """Return the binder of a column like `float(10,2)`, which rounds to so many digits after the point."""

    def bind_fit(value: Any) -> Any:
        see_that_it_fits_decimals(single(value), scale)
        return bind(value)

    return bind_fit


def _decimal(scale: int) -> Bind:
    def bind(value: Any) -> Any:
        if isinstance(single(value), bool):
            return int(value)
        see_that_it_fits_decimals(value, scale)
        return value_text(value)

    return bind


def _date(value: Any) -> str:
    see_that_it_is_a_day(single(value))
    return value_text(value)[:10] if isinstance(value, str) and value[4:5] == "-" else value_text(value)


def _zoneless(digits: int) -> Bind:
    def bind(value: Any) -> str:
        see_that_it_has_no_offset(single(value))
        see_that_its_seconds_fit(value, digits)
        return _ZONED.sub("", value_text(value)) if "T" in str(value) or ":" in str(value) else value_text(value)

    return bind


def _moment(digits: int) -> Bind:
    """Return the binder of moments, which the server takes in the session's time zone: UTC."""

    def bind(value: Any) -> str:
        see_that_its_seconds_fit(single(value), digits)
        text = value_text(value)
        if len(text) > 10 and _ZONED.search(text[10:]):
            try:
                moment = dt.datetime.fromisoformat(text.strip())
            except ValueError:
                raise UnfitValue(f"'{text[:40]}' is no moment.") from None
            return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ")
        return text

    return bind


def _bytes(value: Any) -> bytes:
    found = bytes_of(value)
    if found is None:
        raise UnfitValue(f'{kind_of(value)} cannot be loaded into a column of bytes: expected {{"$bytes": ...}}.')
    return found


def _json_in_64_bits(value: Any) -> str:
    """Write JSON for MySQL, which keeps a greater whole number as a floating-point number."""
    _see_64_bits(value)
    return json_text(value)


def _see_64_bits(value: Any) -> None:
    match value:
        case int() if not -(2**63) <= value < 2**64:
            raise UnfitValue(f"the integer {value} does not fit the 64 bits that MySQL's JSON keeps.")
        case dict():
            for each in value.values():
                _see_64_bits(each)
        case list():
            for each in value:
                _see_64_bits(each)


def _bit(value: Any) -> int:
    if isinstance(value, str) and _BITS.fullmatch(value):
        return int(value, 2)
    if isinstance(value, int):
        return int(value)
    raise UnfitValue(f"{kind_of(value)} cannot be loaded into BIT: expected a text of 0 and 1, or a whole number.")


_BINDERS: dict[str, Bind] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), _whole),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry"), _bytes),
    **dict.fromkeys(("point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"), _bytes),
    "year": _year,
    "double": _double,
    "float": _single,
    "date": _date,
    "bit": _bit,
    "json": json_text,
    "json64": _json_in_64_bits,
}
