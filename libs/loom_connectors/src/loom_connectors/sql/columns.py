"""Decides which columns a table needs, and of which kind: by the declared output, else by the values of the first
batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import chain
from typing import Any

from loom_common.errors import DestinationError
from loom_connectors.options import closest
from loom_connectors.ports.destination import Row
from loom_connectors.values import bytes_in


class Kind(StrEnum):
    """Lists what a column may hold, whatever the database calls it."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"
    BIG_INTEGER = "big integer"
    """An integer that does not fit 64 bits."""
    BYTES = "bytes"
    VECTOR = "vector"
    """A list of numbers of 32 bits, as an embedding is."""
    ANY = "any"
    """Values of several kinds, each written as JSON so that they stay apart."""


_KINDS = {
    "string": Kind.TEXT,
    "integer": Kind.INTEGER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "object": Kind.JSON,
    "array": Kind.JSON,
}


def kind_of(schema: Mapping[str, Any]) -> Kind:
    """Return the kind of a JSON Schema; text where it allows several or none."""
    declared = schema.get("type")
    if declared == "array" and schema.get("format") == "vector":
        return Kind.VECTOR
    names = {declared} if isinstance(declared, str) else set(declared or ()) - {"null"}
    if names == {"integer", "number"}:
        return Kind.NUMBER
    return _KINDS.get(names.pop(), Kind.TEXT) if len(names) == 1 else Kind.TEXT


def kind_of_values(values: Iterable[Any]) -> Kind:
    """Return the kind that holds each of `values` exactly; text where all are null."""
    exact, found = True, set()
    for value in values:
        match value:
            case None:
                continue
            case bool():
                found.add(Kind.BOOLEAN)
            case int():
                found.add(Kind.INTEGER if -(2**63) <= value < 2**63 else Kind.BIG_INTEGER)
                exact = exact and abs(value) <= 2**53
            case float():
                found.add(Kind.NUMBER)
            case str():
                found.add(Kind.TEXT)
            case _:
                found.add(Kind.JSON if bytes_in(value) is None else Kind.BYTES)
    if not found:
        return Kind.TEXT
    if found == {Kind.INTEGER, Kind.NUMBER} and exact:
        return Kind.NUMBER
    if found == {Kind.INTEGER, Kind.BIG_INTEGER}:
        return Kind.BIG_INTEGER
    return found.pop() if len(found) == 1 else Kind.ANY


def kinds(schema: Mapping[str, Any] | None, names: Sequence[str], rows: Sequence[Row] = ()) -> dict[str, Kind]:
    """Every column a new table gets: `names` first, then what the output declares beyond them. A column of which no
    type is declared gets the kind that its values in `rows` have."""
    declared: Mapping[str, Any] = (schema or {}).get("properties", {})
    found: dict[str, Kind] = {}
    for name in nameable(list(dict.fromkeys([*names, *declared]))):
        field = declared.get(name)
        if isinstance(field, Mapping) and "type" in field:
            found[name] = kind_of(field)
        else:
            listed = field.get("enum") if isinstance(field, Mapping) else None
            found[name] = kind_of_values(listed or (row.values.get(name) for row in rows))
    return found


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every column that a row has, in the order they are first seen."""
    records = [row.values for row in rows]
    if records and len(set().union(*records)) == len(records[0]):
        return list(records[0])
    return list(dict.fromkeys(chain.from_iterable(records)))


def nameable(names: Sequence[str]) -> list[str]:
    """Return those of `names` that a column of a table can have."""
    return [name for name in names if _is_nameable(name)]


def _is_nameable(name: str) -> bool:
    try:
        return b"\0" not in name.encode() and name != ""
    except UnicodeEncodeError:
        return False


def unknown_everywhere(rows: Sequence[Row], known: Sequence[str]) -> list[str]:
    """The columns that every row has and the table has not: trouble of the table, not of a row."""
    unknown = [name for name in columns_of(rows) if name not in known]
    return [name for name in unknown if all(name in row.values for row in rows)]


def lacking(missing: Sequence[str], table: str, known: Sequence[str]) -> DestinationError:
    """The table has no such columns."""
    if not _is_nameable(missing[0]):
        return DestinationError(
            f"The field {missing[0]!a} cannot be a column of {table}: a column's name is text, without NUL, and not "
            "empty. Rename the field, or leave it out of the output and of load.include."
        )
    near = closest(missing[0], list(known))
    hint = f" Did you mean '{near}'?" if near else ""
    shown = ", ".join(f"'{name}'" for name in missing)
    return DestinationError(
        f"The table {table} has no column {shown}; its columns are {', '.join(known)}.{hint} Add it to the table "
        "(ALTER TABLE ... ADD COLUMN), or leave it out of the output and of load.include."
    )
