"""Which columns a table needs, and of which kind, by the declared output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from loom_common.errors import DestinationError
from loom_connectors.options import closest
from loom_connectors.ports import Row


class Kind(StrEnum):
    """What a column holds, whatever the database calls it."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"


_KINDS = {
    "string": Kind.TEXT,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "object": Kind.JSON,
    "array": Kind.JSON,
}


def kind_of(schema: Mapping[str, Any]) -> Kind:
    """The kind of a JSON Schema; text where it allows several or none."""
    declared = schema.get("type")
    names = {declared} if isinstance(declared, str) else set(declared or ()) - {"null"}
    if names == {"integer", "number"}:
        return Kind.NUMBER
    return _KINDS.get(names.pop(), Kind.TEXT) if len(names) == 1 else Kind.TEXT


def kinds(schema: Mapping[str, Any] | None, names: Sequence[str]) -> dict[str, Kind]:
    """Every column a new table gets: `names` first, then what the output declares beyond them."""
    declared: Mapping[str, Any] = (schema or {}).get("properties", {})
    every = dict.fromkeys([*names, *declared])
    return {name: kind_of(declared[name]) if name in declared else Kind.TEXT for name in every}


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every column that a row has, in the order they are first seen."""
    return list(dict.fromkeys(name for row in rows for name in row.values))


def unknown_everywhere(rows: Sequence[Row], known: Sequence[str]) -> list[str]:
    """The columns that every row has and the table has not: trouble of the table, not of a row."""
    shared = set(rows[0].values).intersection(*(row.values for row in rows)) if rows else set()
    return [name for name in columns_of(rows) if name in shared and name not in known]


def lacking(missing: Sequence[str], table: str, known: Sequence[str]) -> DestinationError:
    """The table has no such columns."""
    near = closest(missing[0], list(known))
    hint = f" Did you mean '{near}'?" if near else ""
    shown = ", ".join(f"'{name}'" for name in missing)
    return DestinationError(
        f"The table {table} has no column {shown}; its columns are {', '.join(known)}.{hint} Add it to the table "
        "(ALTER TABLE ... ADD COLUMN), or leave it out of the output and of load.include."
    )
