"""Writes names and markers into statements.

Snowflake keeps a name that was written without quotes in capital letters. So a name of Loom's in small letters is one
in capital letters there, and the other way round; any other name is the same in both."""

from __future__ import annotations

import re
from collections.abc import Sequence

from loom_connectors.sql.warehouse import statements

_SMALL = re.compile(r"[a-z_][a-z0-9_$]*")
_CAPITAL = re.compile(r"[A-Z_][A-Z0-9_$]*")


def turned(name: str) -> str:
    """Return the name that Snowflake keeps for one of Loom's, or Loom's for one of Snowflake's."""
    if _SMALL.fullmatch(name):
        return name.upper()
    return name.lower() if _CAPITAL.fullmatch(name) else name


def quoted(name: str) -> str:
    """Quote an identifier that is nothing but a name, whatever characters it has."""
    return '"' + turned(name).replace('"', '""') + '"'


def name_list(names: Sequence[str], prefix: str = "") -> str:
    """Write identifiers, quoted, with commas between."""
    return statements.name_list(names, quoted, prefix)


def marker(number: int) -> str:
    """Return the place of the value with this number, counted from 1, within a statement."""
    return f":{number}"


def flattened(number: int) -> str:
    """Return SQL for a table `f` whose column `value` has the parts of the JSON list that is bound by this number."""
    return f"TABLE(FLATTEN(INPUT => PARSE_JSON({marker(number)}))) f"
