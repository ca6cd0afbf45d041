"""Writes values as texts that Snowflake casts into a column's type. What the cast would round, cut or take for
something else is refused before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from loom_common.domain.json_values.kinds import kind_of
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

_MOST_DIGITS = 38


@cache
def writer(declared: str) -> Writer:
    """Return the writer of a column by its type, as Snowflake shows it: `NUMBER(38,0)`."""
    name, inside = name_and_limits(declared)
    cast = f"CAST({{}} AS {declared})"
    match name:
        case "NUMBER":
            precision, _, scale = inside.partition(",")
            return Writer(number(int(precision or 38), int(scale or 0)), cast)
        case "VARCHAR":
            return Writer(text(int(inside or 16_777_216)), cast)
        case "BINARY":
            return Writer(hex_bytes(int(inside or 8_388_608)), "TO_BINARY({}, 'HEX')")
        case "TIMESTAMP_NTZ" | "TIMESTAMP_LTZ" | "TIMESTAMP_TZ":
            return Writer(moment(int(inside or 9), zoned=name != "TIMESTAMP_NTZ"), cast)
        case "TIME":
            return Writer(time(int(inside or 9)), cast)
        case "VARIANT":
            return Writer(_json, "PARSE_JSON({})")
        case "OBJECT" | "ARRAY":
            part = dict if name == "OBJECT" else list
            return Writer(_part(part, name), f"CAST(PARSE_JSON({{}}) AS {name})")
        case _:
            return Writer(_WRITERS.get(name) or refusing(declared), cast)


def texts_of(rows: Sequence[Row], columns: Sequence[str], types: Mapping[str, str]) -> list[list[str | None]]:
    """Return the texts of all rows. Raises `UnfitValue`, which names the column."""
    return writing.texts_of(rows, columns, types, writer)


def _json(value: Any) -> str:
    see_integers(value, _see)
    return json_text(value)


def _part(kind: type, name: str) -> Write:
    def write(value: Any) -> str:
        if not isinstance(value, kind):
            raise UnfitValue(f"{kind_of(value)} cannot be loaded into a column of type {name}.")
        return _json(value)

    return write


def _see(whole: int) -> None:
    """Raise `UnfitValue` for a whole number that Snowflake's JSON keeps as a floating-point number."""
    if abs(whole) >= 10**_MOST_DIGITS:
        raise UnfitValue(f"the integer {whole} does not fit the {_MOST_DIGITS} digits that Snowflake's JSON keeps.")


_WRITERS: dict[str, Write] = {"FLOAT": double, "BOOLEAN": truth, "DATE": day}
