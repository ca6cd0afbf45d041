"""Records that could not be read whole: which of their fields somebody must edit before they may go on. Pure.

A source says so itself (`MEND` among the details of its error); else what is kept of the record tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MEND = "mend"
RAW, SURPLUS = "raw", "_surplus"
LEFT_OVER = frozenset({RAW, SURPLUS})
"""What stands in a record for what is no field of it. Edited to nothing, it is taken away."""

_UNDECODED = re.compile(r"\\x[0-9a-f]{2}")
_REPLACED = ("\0", "\ufffd")


def to_mend(data: Mapping[str, Any], code: str, details: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The fields that hold what was not decoded, was cut or is no field, and those that are missing."""
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
    """Fields that are not what stands in the source, by the code of the error."""
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
    """The record without what was left over and is edited to nothing."""
    emptied = {name for name in LEFT_OVER if name in fields and edits.get(name, "?") in ("", None)}
    return {name: value for name, value in data.items() if name not in emptied}


def words(fields: Sequence[str]) -> str:
    """What must be edited, for a person."""
    named = " ".join(f"--edit {name}={'' if name in LEFT_OVER else 'VALUE'}" for name in fields)
    left_over = " (nothing after `=` takes it away)" if LEFT_OVER & set(fields) else ""
    return f"Before it may go on, edit what was not read whole: {named}{left_over}."
