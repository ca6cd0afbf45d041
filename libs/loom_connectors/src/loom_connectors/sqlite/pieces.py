"""Finds the rowids and keys at which the pieces of a table or query of SQLite begin."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from loom_connectors.sql.key_pieces import SAMPLE_KEYS, between, quantiles, worth
from loom_connectors.sql.parameters import quoted

_ALIKE = ({"integer", "real"}, {"integer"}, {"real"}, {"text"}, {"blob"})
"""Storage classes of keys that are different for people where they are different for SQLite: not a number and a text,
1 and '1'."""


def rowids(db: sqlite3.Connection, table: str, rowid: str, parts: int | None) -> list[int]:
    """Return the rowids that end the pieces of a table, but for the last piece."""
    low, high = _edges(db, quoted(table), rowid, ())
    if low is None:
        return []
    return [start - 1 for start in between(low, high, worth(high - low) if parts is None else parts)]


def keys(
    db: sqlite3.Connection,
    query: str,
    values: Sequence[Any],
    key: str,
    table: tuple[str, str] | None,
    parts: int | None,
) -> list[Any]:
    """Return the keys at which the pieces of a query begin, but for the first piece. `table` is the table that the
    query reads whole, and its rowid; a sample of its keys is looked at. Other queries can be split by whole numbers."""
    column = f"{quoted(key)} COLLATE BINARY"
    low, high = _edges(db, f"(\n{query}\n)", column, values)
    kinds = {_storage_class(each) for each in (low, high)}
    if kinds not in _ALIKE:
        return []
    if table is None:
        whole = kinds == {"integer"}
        return between(low, high, worth(high - low) if parts is None else parts) if whole else []
    name, rowid = quoted(table[0]), table[1]
    first, last = _edges(db, name, rowid, ())
    wanted = worth(last - first) if parts is None else parts
    places = json.dumps([first, *between(first, last, SAMPLE_KEYS)])
    sample = db.execute(
        f"SELECT (SELECT {quoted(key)} FROM {name} WHERE {rowid} >= value ORDER BY {rowid} LIMIT 1) AS found "
        "FROM json_each(?) WHERE found IS NOT NULL ORDER BY found COLLATE BINARY",
        (places,),
    )
    return quantiles([found for (found,) in sample if _storage_class(found) in kinds], wanted)


def _edges(db: sqlite3.Connection, rows: str, column: str, values: Sequence[Any]) -> tuple[Any, Any]:
    """Return the least and the greatest value of a column, each by its index where there is one."""
    sql = f"SELECT (SELECT min({column}) FROM {rows}), (SELECT max({column}) FROM {rows})"
    low, high = db.execute(sql, [*values, *values]).fetchone()
    return low, high


def _storage_class(value: Any) -> str:
    """Return the storage class of a value; `another` of NULL, and of text that is not UTF-8."""
    names = {int: "integer", float: "real", str: "text", bytes: "blob"}
    return names.get(type(value), "another")
