"""Puts values into statements. The driver escapes each as a literal, in the character set of the connection.

Places of values are marked by a text that is made at random, so that nothing a user writes is taken for one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from secrets import token_hex
from typing import Any

import pymysql


class Markers:
    """Marks the places of values, and fills them."""

    def __init__(self) -> None:
        self._token = f"loom_{token_hex(8)}_"
        self._marked = re.compile(rf"{self._token}(\d+)_")

    def marker(self, number: int) -> str:
        """Return the mark of the value with this number, counted from 1."""
        return f"{self._token}{number}_"

    def filled(self, connection: pymysql.Connection, sql: str, values: Sequence[Any]) -> str:
        """Return the statement with its values. Raises `UnicodeEncodeError` for half a surrogate pair."""
        return self._marked.sub(lambda found: literal(connection, values[int(found[1]) - 1]), sql)


def literal(connection: pymysql.Connection, value: Any) -> str:
    """Return a value as it stands in a statement."""
    with connection.cursor() as cursor:
        return str(cursor.mogrify("%s", (value,)))


def literals(connection: pymysql.Connection, rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield rows of equal length as they stand in a statement."""
    with connection.cursor() as cursor:
        for row in rows:
            yield str(cursor.mogrify(f"({', '.join(['%s'] * len(row))})", tuple(row)))


def quoted(name: str) -> str:
    """Quote an identifier that is nothing but a name, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def name_list(names: Sequence[str]) -> str:
    """Write identifiers, quoted, with commas between."""
    return ", ".join(map(quoted, names))
