"""Writes names and texts of Transact-SQL. It does no I/O."""

from __future__ import annotations

from collections.abc import Sequence

BINARY = "Latin1_General_100_BIN2"
"""The collation of columns that Loom makes: texts are compared by their characters, and are equal only where these
are."""


def quoted(name: str) -> str:
    """Quote an identifier that is nothing but a name, whatever characters it has."""
    return "[" + name.replace("]", "]]") + "]"


def literal(text: str) -> str:
    """Write a text as it stands in a statement."""
    return "N'" + text.replace("'", "''") + "'"


def name_list(names: Sequence[str], prefix: str = "") -> str:
    """Write identifiers, quoted, with commas between."""
    return ", ".join(prefix + quoted(name) for name in names)


def marker(number: int) -> str:
    """Return the place of the value with this number, counted from 1."""
    return f"@p{number}"
