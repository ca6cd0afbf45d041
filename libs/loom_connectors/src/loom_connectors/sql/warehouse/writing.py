"""Writes the rows of a statement as texts, which a warehouse casts into the columns' types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_connectors.ports.destination import Row
from loom_connectors.sql.warehouse.value_texts import Write
from loom_connectors.values import bound_rows

_TYPE = re.compile(r"(\w+)(?:\((.*)\))?")


@dataclass(frozen=True, slots=True)
class Writer:
    """Says how the values of a column are written."""

    write: Write
    cast: str
    """SQL for the value in the column's type; `{}` stands for the text."""


def name_and_limits(declared: str) -> tuple[str, str]:
    """Take a type apart: `NUMBER(38,0)` is named `NUMBER` and has the limits `38,0`; without any they are empty."""
    found = _TYPE.match(declared)
    return (found[1], found[2] or "") if found else (declared, "")


def texts_of(
    rows: Sequence[Row], columns: Sequence[str], types: Mapping[str, str], writer: Callable[[str], Writer]
) -> list[list[str | None]]:
    """Return the texts of all rows. Raises `UnfitValue`, which names the column."""
    writes = [(name, writer(types[name]).write) for name in columns]
    return bound_rows([row.values for row in rows], writes)


def see_integers(value: Any, see: Callable[[int], None]) -> None:
    """Call `see` with every whole number within a JSON value, to refuse one that the warehouse's JSON does not keep."""
    match value:
        case bool():
            return
        case int():
            see(value)
        case dict():
            for each in value.values():
                see_integers(each, see)
        case list():
            for each in value:
                see_integers(each, see)
