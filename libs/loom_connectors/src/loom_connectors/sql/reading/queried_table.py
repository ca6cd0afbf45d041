"""Finds the table that a query reads first, as far as that can be told without the database. It does no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BETWEEN = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_NAME = r"""(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|'(?:[^']|'')+'|[^\W\d]\w*)"""
_TOKENS = re.compile(
    rf"""--[^\n]*|/\*.*?\*/
      | \b(?:extract|overlay|substring|trim)\s*\((?:[^()']|'(?:[^']|'')*')*\)
      | \bdistinct{_BETWEEN}+from\b
      | \bfrom(?!\w)(?:{_BETWEEN}|\()*(?:\bonly\b(?:{_BETWEEN}|\()+)?(?P<name>{_NAME}(?:\s*\.\s*{_NAME}){{0,2}})
      | '(?:[^']|'')*'|"(?:[^"]|"")*" """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_PART = re.compile(_NAME, re.DOTALL)
_NO_TABLES = frozenset({"select", "with", "values", "table", "lateral"})


@dataclass(frozen=True, slots=True)
class NamePart:
    """Holds a part of a table's name: its schema, or its own."""

    text: str
    quoted: bool
    """Tells whether it is quoted: then every database takes upper and lower case as written."""


def first_table(query: str) -> tuple[NamePart, ...] | None:
    """Return the name that the first FROM of a query says, as up to three parts; None where it names none.

    Comments and texts are passed over, and so is the FROM of functions such as EXTRACT. The name may be one that WITH
    gives, but then the FROM of that comes first."""
    for found in _TOKENS.finditer(query):
        name = found["name"]
        if name is not None and name.lower() not in _NO_TABLES:
            return tuple(_part(each[0]) for each in _PART.finditer(name))
    return None


def _part(written: str) -> NamePart:
    closing = {'"': '"', "`": "`", "'": "'", "[": "]"}.get(written[0])
    if closing is None:
        return NamePart(written, quoted=False)
    return NamePart(written[1:-1].replace(closing * 2, closing), quoted=True)
