"""Writes names, values and whole transactions into SQL of BigQuery. It does no I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from loom_connectors.sql.warehouse import statements

_MARKER = "@loom_"
_MARKED = re.compile(r"`(?:[^`\\]|\\.)*`|@loom_(\d+)\b")


@dataclass(frozen=True, slots=True)
class Statement:
    """Represents a statement with its values, which its markers number from 1."""

    sql: str
    values: tuple[object, ...] = ()


def quoted(name: str) -> str:
    """Quote an identifier that is nothing but a name, whatever characters it has."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def name_list(names: Sequence[str], prefix: str = "") -> str:
    """Write identifiers, quoted, with commas between."""
    return statements.name_list(names, quoted, prefix)


def marker(number: int) -> str:
    """Return the place of the value with this number, counted from 1, within a statement."""
    return f"{_MARKER}{number}"


def listed(number: int) -> str:
    """Return SQL for a table whose one column, `part`, has the parts of the JSON list that is bound by this number."""
    return f"UNNEST(JSON_QUERY_ARRAY({marker(number)})) AS part"


def transaction(changes: Sequence[Statement]) -> Statement:
    """Return the script that carries out statements in one transaction. Their values are numbered anew; a name that
    looks like a marker stays as it is."""
    values: list[object] = []
    lines = []
    for each in changes:
        lines.append(_numbered(each.sql, len(values)))
        values += each.values
    return Statement(";\n".join(["BEGIN TRANSACTION", *lines, "COMMIT TRANSACTION"]) + ";", tuple(values))


def _numbered(sql: str, before: int) -> str:
    """Return a statement whose markers begin after so many others."""
    return _MARKED.sub(lambda found: found[0] if found[1] is None else marker(int(found[1]) + before), sql)
