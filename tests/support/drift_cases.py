"""Holds a record for each kind of drift, and reads what docs/pipeline.md says becomes of it under each contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from loom_common.domain.schema.columns import Column

STORED = {
    "id": Column(type="string"),
    "share": Column(type="number"),
    "count": Column(type="integer"),
    "note": Column(type="string"),
}
_FITS: Mapping[str, Any] = {"id": "fits", "share": 0.5, "count": 3, "note": "a"}
DRIFTED: Mapping[str, Mapping[str, Any]] = {
    "added": {**_FITS, "id": "added", "extra": True},
    "removed": {"id": "removed", "share": 0.5, "count": 3},
    "renamed": {"id": "renamed", "share": 0.5, "count": 3, "notes": "a"},
    "widened": {**_FITS, "id": "widened", "count": 2.5},
    "narrowed": {**_FITS, "id": "narrowed", "share": 2},
    "changed": {**_FITS, "id": "changed", "count": "many"},
    "nullable": {**_FITS, "id": "nullable", "note": None},
}
MODES = ("evolve", "auto", "warn", "freeze", "manual", "discard_row", "discard_value")
FAILS = "the run fails"


@cache
def documented() -> dict[tuple[str, str], str]:
    """Return the words of the table in docs/pipeline.md, by drift and mode."""
    lines = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| the records have |"))
    titles = [_names(cell) for cell in _cells(lines[start])[1:]]
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return found
        first, *cells = _cells(line)
        (drift,) = _names(first)
        found |= {(drift, mode): words for modes, words in zip(titles, cells, strict=True) for mode in modes}
    return found


def of_record(drift: str, mode: str) -> str:
    """Return what becomes of a record itself, without the next version of the schema."""
    return documented()[drift, mode].split(";")[0]


def words(drift: str, loaded: Mapping[str, Any] | None) -> str:
    """Say in the words of the table what was loaded of a drifted record; None where nothing was."""
    if loaded is None:
        return "quarantined"
    record = DRIFTED[drift]
    if loaded == record:
        return "loaded"
    if loaded == {name: value for name, value in record.items() if name in STORED}:
        return "loaded without the column"
    if loaded == {**record, "count": None}:
        return "loaded with null"
    return f"loaded as {loaded}"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)
