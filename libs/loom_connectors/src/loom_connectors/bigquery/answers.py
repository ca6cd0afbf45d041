"""Reads what BigQuery's REST API answers, and writes the values that it is asked with. Both are texts there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """Describes a column of a table or of a query."""

    name: str
    type: str
    """Holds the type as SQL writes it: `STRING(5)`, `NUMERIC(10, 2)`; `ARRAY` and `STRUCT` without what is in them."""
    required: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Holds what a statement gave."""

    rows: Sequence[Sequence[Any]]
    columns: Sequence[Column]


def parameter(name: str, value: object) -> dict[str, Any]:
    """Return a value as a parameter of a query."""
    match value:
        case bool():
            kind, text = "BOOL", "true" if value else "false"
        case int():
            kind, text = "INT64", str(value)
        case float():
            kind, text = "FLOAT64", repr(value)
        case Decimal():
            kind, text = "BIGNUMERIC", str(value)
        case dt.datetime():
            kind, text = "DATETIME" if value.tzinfo is None else "TIMESTAMP", value.isoformat(" ")
        case dt.date():
            kind, text = "DATE", value.isoformat()
        case _:
            kind, text = "STRING", str(value)
    return {"name": name, "parameterType": {"type": kind}, "parameterValue": {"value": text}}


_SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def columns_in(schema: Mapping[str, Any] | None) -> Sequence[Column]:
    """Return the columns that a schema describes; none where there is no schema."""
    return [
        Column(str(each["name"]), _type(each), str(each.get("mode")) == "REQUIRED")
        for each in (schema or {}).get("fields", ())
    ]


def _type(field: Mapping[str, Any]) -> str:
    if field.get("mode") == "REPEATED":
        return "ARRAY"
    name = _SQL_NAMES.get(field["type"], field["type"])
    if field.get("maxLength"):
        return f"{name}({field['maxLength']})"
    if field.get("precision"):
        return f"{name}({field['precision']}, {field.get('scale') or 0})"
    return str(name)


def values_of(row: Mapping[str, Any], columns: Sequence[Column]) -> Sequence[Any]:
    """Return the values of a row."""
    return [_value(cell["v"], column.type) for cell, column in zip(row["f"], columns, strict=True)]


def _value(value: Any, kind: str) -> Any:
    """Return a value of an answer, where all are texts."""
    if value is None:
        return None
    match kind:
        case "INT64":
            return int(value)
        case "FLOAT64":
            return float(value)
        case "BOOL":
            return str(value).lower() == "true"
        case _:
            return value


def body_of(answer: Any) -> dict[str, Any]:
    """Return the body of an HTTP answer; empty where it is no JSON object."""
    try:
        found = json.loads(answer.data or b"{}")
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}
