"""Writes values as texts that BigQuery casts into a column's type. What the cast would round, cut or take for something
else is refused before, and so is what would fail the statement: BigQuery does not say which row was at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from loom_connectors.ports.destination import Row
from loom_connectors.sql.warehouse import writing
from loom_connectors.sql.warehouse.value_texts import (
    Write,
    day,
    double,
    hex_bytes,
    moment,
    number,
    refusing,
    text,
    time,
    truth,
)
from loom_connectors.sql.warehouse.writing import Writer, name_and_limits, see_integers
from loom_connectors.values import UnfitValue, json_text

NOT_NULL = " NOT NULL"
"""Ends the type of a column that every row must have a value for."""
_LONGEST = 10_485_760
_MICROSECONDS = 6


@cache
def writer(declared: str) -> Writer:
    """Return the writer of a column by its type: `NUMERIC(10, 2)`, `STRING NOT NULL`."""
    name, inside = name_and_limits(declared)
    cast = f"CAST({{}} AS {name})"
    match name:
        case "STRING":
            return Writer(text(int(inside or _LONGEST)), "{}")
        case "INT64":
            return Writer(_whole, cast)
        case "NUMERIC" | "BIGNUMERIC":
            precision, _, scale = (inside or ("38,9" if name == "NUMERIC" else "76,38")).partition(",")
            return Writer(number(int(precision), int(scale or 0)), cast)
        case "BYTES":
            return Writer(hex_bytes(int(inside or _LONGEST)), "FROM_HEX({})")
        case "TIMESTAMP" | "DATETIME":
            return Writer(_spaced(moment(_MICROSECONDS, zoned=name == "TIMESTAMP")), cast)
        case "TIME":
            return Writer(_long(time(_MICROSECONDS)), cast)
        case "JSON":
            return Writer(_json, "PARSE_JSON({})")
        case _:
            return Writer(_WRITERS.get(name) or refusing(declared), cast)


def texts_of(rows: Sequence[Row], columns: Sequence[str], types: Mapping[str, str]) -> list[list[str | None]]:
    """Return the texts of all rows. Raises `UnfitValue`, which names the column."""
    required = [name for name, declared in types.items() if declared.endswith(NOT_NULL)]
    for row in rows:
        if empty := next((name for name in required if row.values.get(name) is None), None):
            raise UnfitValue("it may not be NULL.", empty)
    return writing.texts_of(rows, columns, types, writer)


def _whole(value: Any) -> str:
    written = number(20, 0)(value)
    if not -(2**63) <= int(written) < 2**63:
        raise UnfitValue(f"the integer {written} does not fit 64 bits.")
    return written


def _spaced(write: Write) -> Write:
    """Return the writer of a day and a time with a space between, as BigQuery's casts have it."""
    return lambda value: write(value).replace("T", " ")


def _long(write: Write) -> Write:
    """Return the writer of times with seconds."""

    def written(value: Any) -> str:
        found = write(value)
        return found if found.count(":") > 1 else f"{found}:00"

    return written


def _json(value: Any) -> str:
    see_integers(value, _see)
    return json_text(value)


def _see(whole: int) -> None:
    """Raise `UnfitValue` for a whole number that BigQuery's JSON does not keep."""
    if not -(2**63) <= whole < 2**64:
        raise UnfitValue(f"the integer {whole} does not fit the 64 bits that BigQuery's JSON keeps.")


_WRITERS: dict[str, Write] = {"FLOAT64": double, "BOOL": truth, "DATE": day}
