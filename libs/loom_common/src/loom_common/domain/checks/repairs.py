"""Finds the fields of an incompletely read record that somebody must edit before it is replayed. It does no I/O.

The source's error may name them (`MEND` in its details); otherwise they are found in what was kept of the record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MEND = "mend"
RAW, SURPLUS = "raw", "_surplus"
LEFT_OVER = frozenset({RAW, SURPLUS})
"""Names under which a record holds data that belongs to no field. They are removed when they are edited to nothing."""

_UNDECODED = re.compile(r"\\x[0-9a-f]{2}")
_REPLACED = ("\0", "\ufffd")


def to_mend(data: Mapping[str, Any], code: str, details: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the fields that hold undecoded, cut or surplus data, and those that are missing."""
    said = (details or {}).get(MEND)
    if isinstance(said, list | tuple):
        return tuple(map(str, said))
    found = [name for name in data if name in LEFT_OVER]
    if list(data) != [RAW]:
        found += damaged(data, code)
    if isinstance(column := (details or {}).get("column"), str):
        found.append(column)
    return tuple(dict.fromkeys(found))


def damaged(data: Mapping[str, Any], code: str) -> list[str]:
    """Return the fields whose values differ from the source, by the code of the error."""
    match code:
        case "encoding":
            return [name for name, value in data.items() if isinstance(value, str) and _UNDECODED.search(value)]
        case "nul_byte" | "unstorable":
            return [name for name, value in data.items() if any(mark in str(value) for mark in _REPLACED)]
        case "line_too_long" | "field_too_long":
            return [name for name in data if name not in LEFT_OVER][-1:]
        case _:
            return []


def mended(data: Mapping[str, Any], edits: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Return the record with the edits applied, without surplus data that was edited to nothing."""
    emptied = {name for name in LEFT_OVER if name in fields and edits.get(name, "?") in ("", None)}
    return {name: value for name, value in data.items() if name not in emptied}


def words(fields: Sequence[str]) -> str:
    """Return which fields must be edited, as a sentence."""
    named = " ".join(f"--edit {name}={'' if name in LEFT_OVER else 'VALUE'}" for name in fields)
    left_over = " (nothing after `=` takes it away)" if LEFT_OVER & set(fields) else ""
    return f"Before it may go on, edit what was not read whole: {named}{left_over}."
