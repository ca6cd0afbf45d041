"""Writes values as texts that DuckDB casts into a column's type. What the cast would round or cut is refused before.

The parts of lists, structs and maps are written so, too, and the whole as JSON of these texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from loom_common.domain.json_values.kinds import kind_of
from loom_common.domain.json_values.whole_numbers import integer_of
from loom_connectors.duckdb.intervals import duckdb_of
from loom_connectors.moments import see_that_it_has_no_offset, see_that_it_is_a_day, see_that_its_seconds_fit
from loom_connectors.ports.destination import Row
from loom_connectors.sql.parameters import quoted
from loom_connectors.values import (
    UnfitValue,
    bytes_of,
    json_text,
    see_that_it_fits_a_double,
    see_that_it_fits_a_single,
    see_that_it_fits_decimals,
    single,
    value_text,
)

Write = Callable[[Any], Any]
"""Returns the text of a value, or a list or an object of texts. Raises `UnfitValue`."""

_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_DIGITS = {
    "timestamp": 6,
    "timestamp with time zone": 6,
    "timestamp_s": 0,
    "timestamp_ms": 3,
    "timestamp_ns": 9,
    "time": 6,
    "time with time zone": 6,
    "time_ns": 9,
}
"""Holds the digits of a second that a type keeps."""
_ZONED = {"timestamp with time zone", "time with time zone"}
_NESTED = {"list", "array", "struct", "map"}


@dataclass(frozen=True, slots=True)
class Writer:
    """Says how the values of a column are written."""

    write: Callable[[Any], str]
    cast: str
    """SQL for the value in the column's type; `{}` stands for the text."""


@cache
def writer(declared: str) -> Writer:
    """Return the writer of a column by its type, as DuckDB shows it."""
    kind = duckdb.sqltype(declared)
    write = _write(kind)
    if kind.id in _NESTED:
        return Writer(
            lambda value: json_text(write(value)), f"CAST(CAST({{}} AS JSON)::{_carried(kind)} AS {declared})"
        )
    return Writer(write, f"CAST({{}} AS {declared})")


def columns_of_texts(
    rows: Sequence[Row], columns: Sequence[str], types: Mapping[str, str]
) -> tuple[list[str], list[list[str | None]]]:
    """Return for each column the SQL of its value, in which `{}` stands for the text, and the texts of all rows. Raises
    `UnfitValue`, which names the column."""
    casts, texts = [], []
    for name in columns:
        form = writer(types[name])
        values = (row.values.get(name) for row in rows)
        try:
            texts.append([None if value is None else form.write(value) for value in values])
        except UnfitValue as error:
            raise UnfitValue(str(error), name) from None
        casts.append(form.cast)
    return casts, texts


def _carried(kind: Any) -> str:
    """Return the type of the texts of a type's parts."""
    match kind.id:
        case "list" | "array":
            return f"{_carried(kind.children[0][1])}[]"
        case "struct":
            return f"STRUCT({', '.join(f'{quoted(name)} {_carried(part)}' for name, part in kind.children)})"
        case "map":
            return f"MAP(VARCHAR, {_carried(kind.children[1][1])})"
        case _:
            return "VARCHAR"


def _write(kind: Any) -> Write:
    name = kind.id
    if name in ("list", "array"):
        return _list(_write(kind.children[0][1]))
    if name == "struct":
        return _struct({part: _write(inner) for part, inner in kind.children})
    if name == "map":
        return _map(_write(kind.children[1][1]))
    if name == "varchar":
        return json_text if str(kind) == "JSON" else value_text
    if name == "decimal":
        return _decimal(int(dict(kind.children)["scale"]))
    if name in _DIGITS:
        return _moment(_DIGITS[name], zoned=name in _ZONED)
    return _WRITERS.get(name) or _refusing(str(kind))


def _single_text(value: Any) -> str:
    return value_text(single(value))


def _whole(value: Any) -> str:
    text = _single_text(integer_of(value))
    if not isinstance(value, bool) and not _WHOLE.fullmatch(text):
        raise UnfitValue(f"'{text[:40]}' is no whole number.")
    return text


def _double(value: Any) -> str:
    text = _single_text(value)
    see_that_it_fits_a_double(value)
    return text


def _single(value: Any) -> str:
    text = _single_text(value)
    if not isinstance(value, bool):
        see_that_it_fits_a_single(value)
    return text


def _decimal(scale: int) -> Write:
    def write(value: Any) -> str:
        text = _single_text(value)
        if not isinstance(value, bool):
            see_that_it_fits_decimals(value, scale)
        return text

    return write


def _date(value: Any) -> str:
    see_that_it_is_a_day(value)
    return _in_its_era(_single_text(value))


def _moment(digits: int, *, zoned: bool) -> Write:
    def write(value: Any) -> str:
        see_that_its_seconds_fit(value, digits)
        if not zoned:
            see_that_it_has_no_offset(value)
        return _in_its_era(_single_text(value))

    return write


def _in_its_era(text: str) -> str:
    """Write the era where DuckDB expects it: after the day."""
    if not text.endswith(" BC"):
        return text
    day, separator, time = text.removesuffix(" BC").partition("T")
    return f"{day} (BC){' ' if separator else ''}{time}"


def _interval(value: Any) -> str:
    return duckdb_of(_single_text(value))


def _bytes(value: Any) -> str:
    found = bytes_of(value)
    if found is None:
        raise UnfitValue(f'{kind_of(value)} cannot be loaded into a BLOB: expected {{"$bytes": ...}}.')
    return "".join(f"\\x{each:02X}" for each in found)


def _bits(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitValue(f"{kind_of(value)} cannot be loaded into BIT: expected a text of 0 and 1.")
    return value


def _refusing(kind: str) -> Write:
    def refuse(_value: Any) -> str:
        raise UnfitValue(f"a column of type {kind} cannot be loaded. Leave it out of the output and of load.include.")

    return refuse


def _list(write: Write) -> Write:
    def written(value: Any) -> Any:
        if not isinstance(value, list):
            raise UnfitValue(f"{kind_of(value)} cannot be loaded into a list.")
        return [None if each is None else write(each) for each in value]

    return written


def _struct(writes: Mapping[str, Write]) -> Write:
    def written(value: Any) -> Any:
        if not isinstance(value, dict):
            raise UnfitValue(f"{kind_of(value)} cannot be loaded into a struct: expected an object.")
        if strange := next((name for name in value if name not in writes), None):
            raise UnfitValue(f"the struct has no field '{strange}'; its fields are {', '.join(writes)}.")
        return {name: None if (part := value.get(name)) is None else write(part) for name, write in writes.items()}

    return written


def _map(write: Write) -> Write:
    def written(value: Any) -> Any:
        if not isinstance(value, dict):
            raise UnfitValue(f"{kind_of(value)} cannot be loaded into a map: expected an object.")
        return {name: None if each is None else write(each) for name, each in value.items()}

    return written


_WRITERS: dict[str, Write] = {
    "boolean": _single_text,
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint", "bignum"), _whole),
    **dict.fromkeys(("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"), _whole),
    "double": _double,
    "float": _single,
    "date": _date,
    "interval": _interval,
    "blob": _bytes,
    "bit": _bits,
    "uuid": _single_text,
    "enum": _single_text,
}
