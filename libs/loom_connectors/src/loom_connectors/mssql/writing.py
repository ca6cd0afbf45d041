"""Writes values as texts that SQL Server casts into a column's type. What the cast would round, cut or take for
something else is refused before."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from loom_connectors.ports.destination import Row
from loom_connectors.sql.warehouse import writing
from loom_connectors.sql.warehouse.value_texts import Write, day, hex_bytes, moment, number, refusing, time, truth
from loom_connectors.sql.warehouse.value_texts import double as any_double
from loom_connectors.sql.warehouse.writing import Writer, name_and_limits
from loom_connectors.values import UnfitValue, json_text, single, single_text, value_text

_COLLATED = re.compile(r"(.*) COLLATE (\w+)")
_WHOLE = {"tinyint": (0, 255), **{name: (-(2**bits), 2**bits - 1) for name, bits in (("smallint", 15), ("int", 31))}}
_WHOLE["bigint"] = (-(2**63), 2**63 - 1)
_MAX = 2**31 - 1
_ENDLESS = ("NaN", "inf", "-inf")


@cache
def writer(declared: str) -> Writer:
    """Return the writer of a column by its type, as `tables.columns_of_table` says it: `decimal(38,0)`, or
    `nvarchar(450) COLLATE Latin1_General_100_BIN2`."""
    found = _COLLATED.fullmatch(declared)
    plain, collation = (found[1], f" COLLATE {found[2]}") if found else (declared, "")
    name, inside = name_and_limits(plain)
    limit = _MAX if inside in ("", "max") else int(inside.partition(",")[0])
    cast = f"CAST({{}} AS {plain}){collation}"
    match name:
        case "decimal" | "numeric":
            return Writer(number(limit, int(inside.partition(",")[2] or 0)), cast)
        case "nvarchar" | "nchar":
            return Writer(_text(limit, padded=name == "nchar"), cast)
        case "varchar" | "char":
            utf8 = collation.endswith("_UTF8")
            return Writer(_narrow(limit, padded=name == "char", utf8=utf8), cast)
        case "varbinary" | "binary":
            return Writer(_bytes(limit, fixed=name == "binary"), f"CONVERT({plain}, {{}}, 2)")
        case "datetime2" | "datetimeoffset":
            return Writer(moment(min(limit, 7), zoned=name == "datetimeoffset"), cast)
        case "time":
            return Writer(time(min(limit, 7)), cast)
        case "json":
            return Writer(json_text, f"CAST({{}} AS nvarchar(max)){collation}")
        case _:
            write = _WRITERS.get(name)
            return Writer(write or refusing(plain), cast)


def texts_of(rows: Sequence[Row], columns: Sequence[str], types: Mapping[str, str]) -> list[list[str | None]]:
    """Return the texts of all rows. Raises `UnfitValue`, which names the column."""
    return writing.texts_of(rows, columns, types, writer)


def _text(length: int, *, padded: bool) -> Write:
    """Return the writer of texts of at most so many units of UTF-16, in which SQL Server counts."""

    def write(value: Any) -> str:
        text = value_text(value)
        if length != _MAX and (units := len(text.encode("utf-16-le")) // 2) > length:
            raise UnfitValue(f"the text has {units} characters, and the column keeps {length}.")
        text.encode()  # half a surrogate pair is no character
        if padded and text.endswith(" "):
            raise UnfitValue("the blanks at the end of the text would be lost in a CHAR column. Make it NVARCHAR.")
        return text

    return write


def _narrow(length: int, *, padded: bool, utf8: bool) -> Write:
    """Return the writer of texts in the code page of the column, of which only the letters of ASCII are surely one."""
    write_wide = _text(_MAX, padded=padded)

    def write(value: Any) -> str:
        text = write_wide(value)
        if not (utf8 or text.isascii()):
            raise UnfitValue("a VARCHAR column does not surely keep letters beyond ASCII. Make it NVARCHAR.")
        if length != _MAX and (size := len(text.encode())) > length:
            raise UnfitValue(f"the text has {size} bytes, and the column keeps {length}.")
        return text

    return write


def _whole(name: str) -> Write:
    least, most = _WHOLE[name]
    digits = number(38, 0)

    def write(value: Any) -> str:
        text = digits(value)
        if not least <= int(text) <= most:
            raise UnfitValue(f"the number {text} does not fit the column ({name}).")
        return text

    return write


def _bytes(length: int, *, fixed: bool) -> Write:
    write_hex = hex_bytes(length)

    def write(value: Any) -> str:
        text = write_hex(value)
        if fixed and len(text) != 2 * length:
            raise UnfitValue(f"the value has {len(text) // 2} bytes, and the column fills them up to {length}.")
        return text

    return write


def _floating(least: float, text_of: Callable[[Any], str]) -> Write:
    """Return the writer of floating-point numbers, of which SQL Server takes a text nearer to 0 than `least` for 0."""

    def write(value: Any) -> str:
        text = any_double(text_of(value) if not isinstance(single(value), bool) else value)
        if text in _ENDLESS:
            raise UnfitValue(f"SQL Server keeps no {text}.")
        if 0 < abs(float(text)) < least:
            raise UnfitValue(f"SQL Server would make 0 of {value}, which is nearer to 0 than {least}.")
        return text

    return write


def _truth(value: Any) -> str:
    return "1" if truth(value) == "true" else "0"


def _datetime(value: Any) -> str:
    """Write a moment of the old type, which keeps each third hundredth of a second from 1753 on."""
    text = moment(3, zoned=False)(value)
    fraction = text.partition(".")[2].ljust(3, "0")
    if fraction[2] not in "037" or text < "1753":
        raise UnfitValue(f"the type datetime keeps no '{text}' as it is. Make it DATETIME2.")
    return text


def _minute(value: Any) -> str:
    text = moment(0, zoned=False)(value)
    if not text.endswith(":00") or not "1900" <= text < "2079-06-07":
        raise UnfitValue(f"the type smalldatetime keeps no '{text}' as it is. Make it DATETIME2.")
    return text


def _uuid(value: Any) -> str:
    try:
        return str(UUID(value_text(single(value)).strip()))
    except ValueError:
        raise UnfitValue(f"'{str(value)[:40]}' is no UUID.") from None


_WRITERS: dict[str, Write] = {
    **{name: _whole(name) for name in _WHOLE},
    "bit": _truth,
    "float": _floating(2.0**-1022, value_text),
    "real": _floating(2.0**-126, single_text),
    "money": number(19, 4),
    "smallmoney": number(10, 4),
    "date": day,
    "datetime": _datetime,
    "smalldatetime": _minute,
    "uniqueidentifier": _uuid,
    "text": _narrow(_MAX, padded=False, utf8=False),
    "ntext": _text(_MAX, padded=False),
    "xml": _text(_MAX, padded=False),
}
