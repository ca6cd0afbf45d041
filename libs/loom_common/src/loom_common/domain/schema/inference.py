"""Finds the schema of records: their types, nullability, formats, candidate keys and examples."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from loom_common.domain.quality.bounds import has_value, number_of
from loom_common.domain.schema.columns import Column, Columns, ColumnType, TextFormat, joined, merged
from loom_common.domain.values.ids import sorted_json
from loom_common.text import shown

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_URL = re.compile(r"https?://\S+")
_INTEGER = re.compile(r"[+-]?\d{1,400}")
_LONGEST = 400
"""The most characters of a text that is looked at for a format."""
_EXAMPLES = 3
_SHOWN = 60


def _reads_as_number(text: str) -> bool:
    try:
        number_of(text)
    except ValueError:
        return False
    return True


def _reads_as(kind: Callable[[str], object]) -> Callable[[str], bool]:
    def reads(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return False
        return True

    return reads


_FORMATS: Mapping[TextFormat, Callable[[str], object]] = {
    "integer": _INTEGER.fullmatch,
    "number": _reads_as_number,
    "boolean": lambda text: text.lower() in ("true", "false"),
    "date": _reads_as(dt.date.fromisoformat),
    "datetime": _reads_as(dt.datetime.fromisoformat),
    "uuid": _UUID.fullmatch,
    "email": _EMAIL.fullmatch,
    "url": _URL.fullmatch,
}


def column_of(value: Any) -> Column:
    """Return the narrowest column that takes a value, which is not null."""
    match value:
        case bool():
            return _made("boolean")
        case int():
            return _made("integer")
        case float():
            return _made("number")
        case str():
            return _made("string", _format(value))
        case list():
            return _made("array")
        case dict():
            return _made("object")
        case _:
            return _made("any")


@cache
def _made(kind: ColumnType, form: TextFormat | None = None) -> Column:
    """Return a column, made once: every value of every record asks for one."""
    return Column(type=kind, format=form)


def _format(text: str) -> TextFormat | None:
    if len(text) > _LONGEST:
        return None
    return next((name for name, reads in _FORMATS.items() if reads(text)), None)


def columns_of(record: Mapping[str, Any]) -> dict[str, Column | None]:
    """Return what one record says of its columns; None of a column without a value."""
    return {name: column_of(value) if has_value(value) else None for name, value in record.items()}


def inferred(records: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """Return the schema of records. A column in which no record has a value is a text that may be null."""
    kinds: dict[str, Column | None] = {}
    filled: dict[str, int] = {}
    count = 0
    for record in records:
        count += 1
        for name, column in columns_of(record).items():
            before = kinds.get(name)
            if column is not None:
                filled[name] = filled.get(name, 0) + 1
            kinds[name] = before if column is None else _wider(before, column)
    return {
        name: (kind or Column(type="string")).model_copy(update={"nullable": filled.get(name, 0) < count})
        for name, kind in kinds.items()
    }


def _wider(before: Column | None, column: Column) -> Column:
    return column if before is None or before is column else joined(before, column)


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """Describes a column of a sample: its schema, some of its values, and whether each occurs once."""

    column: Column
    examples: tuple[str, ...]
    candidate_key: bool
    """Tells whether every record of the sample has a value here, and no two have the same."""


def profiled(records: Iterable[Mapping[str, Any]]) -> dict[str, ColumnProfile]:
    """Return the schema of a sample with examples and candidate keys. All of the sample is held in memory."""
    sample = list(records)
    profiles = {}
    for name, column in inferred(sample).items():
        values = [record[name] for record in sample if has_value(record.get(name))]
        distinct = {sorted_json({"": value}) or repr(value).encode(): value for value in values}
        examples = tuple(shown(value, _SHOWN) for value in list(distinct.values())[:_EXAMPLES])
        simple = column.type in ("string", "integer")
        key = simple and not column.nullable and len(distinct) == len(sample) > 1
        profiles[name] = ColumnProfile(column, examples, candidate_key=key)
    return profiles


def observed(before: Columns | None, records: Iterable[Mapping[str, Any]]) -> dict[str, Column] | None:
    """Return what records, and those before, say of the columns; None where there is no record at all."""
    sample = list(records)
    if not sample:
        return None if before is None else dict(before)
    found = inferred(sample)
    return found if before is None else merged(before, found)
