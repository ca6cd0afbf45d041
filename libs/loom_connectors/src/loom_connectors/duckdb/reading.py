"""Reads the values of DuckDB's columns: what JSON says exactly becomes that, the rest the text that DuckDB reads back.

Its driver makes a date of our era of every date, and a number of days of every interval. So a column is fetched as
another type that loses nothing: its own where Python has the same values, else text; so are the parts of lists, structs
and maps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_connectors.duckdb.intervals import iso_of
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.values import as_object

Read = Callable[[Any], Any]
"""Returns the JSON value of what was fetched. Raises `ValueError`."""

_INTEGERS = {
    *("tinyint", "smallint", "integer", "bigint", "hugeint"),
    *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
}
_OWN = {"boolean", "varchar", "blob", "double", *_INTEGERS}
"""Types that are fetched as they are."""
_TEXTS = {"decimal", "enum", "uuid", "bit", "time", "time with time zone", "time_ns", "null"}
"""Types whose text is the value."""
_MOMENTS = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_ERA = re.compile(r" \(BC\)")
_SHORT_OFFSET = re.compile(r"[+-]\d\d$")


def read_column(name: str, kind: Any) -> ReadColumn:
    """Return how a column of a query is read; `kind` is its type as the driver describes it."""
    fetched = fetched_as(kind)
    form = (lambda sql: sql) if fetched == str(kind) else (lambda sql: f"CAST({sql} AS {fetched})")
    return ReadColumn(name, str(kind), form, reader(kind), whole=kind.id in _INTEGERS)


def fetched_as(kind: Any) -> str:
    """Return the type as which values of a type are fetched."""
    match kind.id:
        case "list":
            return f"{fetched_as(kind.children[0][1])}[]"
        case "array":
            return f"{fetched_as(kind.children[0][1])}[{kind.children[1][1]}]"
        case "struct" if _is_named(kind):
            return f"STRUCT({', '.join(f'{quoted(name)} {fetched_as(part)}' for name, part in kind.children)})"
        case "map" if _is_plain(kind.children[0][1]):
            return f"MAP(VARCHAR, {fetched_as(kind.children[1][1])})"
        case name:
            return str(kind) if name in _OWN else "VARCHAR"


def reader(kind: Any) -> Read | None:
    """Return how a fetched value is read; None where it is the JSON value."""
    match kind.id:
        case "varchar":
            return loads if str(kind) == "JSON" else None
        case "list" | "array":
            return _list_of(reader(kind.children[0][1]))
        case "struct" if _is_named(kind):
            return _object_of({name: reader(part) for name, part in kind.children})
        case "map" if _is_plain(kind.children[0][1]):
            return _map_of(reader(kind.children[1][1]))
        case name:
            return _READERS[name] if name in _READERS else _unfit(str(kind))


def _is_named(kind: Any) -> bool:
    names = [name for name, _ in kind.children]
    return all(names) and len({*names}) == len(names)


def _is_plain(kind: Any) -> bool:
    """Tell whether a key of a map is one value, whose text is the name of a member."""
    return kind.id in _READERS or kind.id == "varchar"


def _list_of(read: Read | None) -> Read:
    if read is None:
        return list
    return lambda values: [None if each is None else read(each) for each in values]


def _object_of(reads: dict[str, Read | None]) -> Read:
    def members(value: dict[str, Any]) -> dict[str, Any]:
        return {
            name: each if each is None or (read := reads[name]) is None else read(each) for name, each in value.items()
        }

    return members


def _map_of(read: Read | None) -> Read:
    if read is None:
        return dict
    return lambda value: {name: None if each is None else read(each) for name, each in value.items()}


def _unfit(kind: str) -> Read:
    def refuse(_value: Any) -> Any:
        raise UnfitJson(f"a value of type {kind} has no exact JSON form. Cast it in extract.query.", "no_json_form")

    return refuse


def _number(value: float) -> float | str:
    """NaN and the infinities, which JSON lacks, become text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _moment(text: str) -> str:
    """Write a day or a moment in ISO 8601. The era, where it is not ours, stands at the end."""
    era = _ERA.search(text)
    text = _ERA.sub("", text)
    if len(text) > 10 and not text.endswith("infinity"):
        text = text.replace(" ", "T", 1)
        text = f"{text}:00" if "T" in text and _SHORT_OFFSET.search(text.partition("T")[2]) else text
    return f"{text} BC" if era else text


_READERS: dict[str, Read | None] = {
    "boolean": None,
    **dict.fromkeys(_INTEGERS, None),
    **dict.fromkeys(_TEXTS, None),
    **dict.fromkeys(_MOMENTS, _moment),
    "bignum": int,
    "double": _number,
    "float": lambda text: _number(float(text)),
    "blob": as_object,
    "interval": iso_of,
}
