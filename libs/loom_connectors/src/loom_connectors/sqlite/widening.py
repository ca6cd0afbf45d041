"""Adds columns to a SQLite table, and widens those of integers, in the transaction that writes the rows."""

# ruff: noqa: S608  names are quoted
from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from loom_common.domain.values.ids import content_hash
from loom_common.errors import DestinationError
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.parameters import quoted
from loom_connectors.sqlite.tables import TYPES, columns_of_table


def wider(declared: str, needs: Needs) -> str | None:
    """Return the type that takes what the column holds and these values, too; None where `declared` takes them, or no
    type takes both as they are. A column of integers takes all but those beyond 64 bits."""
    return "TEXT" if "INT" in declared.upper() and needs.whole and not needs.within_bits(64) else None


def add_columns(db: sqlite3.Connection, table: str, kinds: Mapping[str, Kind]) -> None:
    """Add the columns where they are missing. SQLite compares names without regard to case."""
    there = {name.lower() for name in columns_of_table(db, table)}
    for name, kind in kinds.items():
        if name.lower() not in there:
            db.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(name)} {TYPES[kind]}")


def widen(db: sqlite3.Connection, table: str, needs: Mapping[str, Needs]) -> None:
    """Give each column that does not take its values a wider type. SQLite cannot change a type: another column takes
    the place, at the end of the table. Raises `DestinationError` for a column that has more than a type."""
    declared = columns_of_table(db, table)
    for name, each in needs.items():
        if name in declared and (to := wider(declared[name], each)) is not None:
            _see_that_it_is_plain(db, table, name, to)
            made = quoted(f"loom_{content_hash(name.encode())[:12]}")
            db.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {made} {to}")
            db.execute(f"UPDATE {quoted(table)} SET {made} = {quoted(name)}")
            db.execute(f"ALTER TABLE {quoted(table)} DROP COLUMN {quoted(name)}")
            db.execute(f"ALTER TABLE {quoted(table)} RENAME COLUMN {made} TO {quoted(name)}")


def _see_that_it_is_plain(db: sqlite3.Connection, table: str, column: str, to: str) -> None:
    (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE lower(name) = lower(?)", (table,)).fetchone()
    sql_says_more = any(word in sql.upper() for word in ("CHECK", "REFERENCES", "GENERATED", "COLLATE"))
    more = db.execute(
        'SELECT "notnull" OR dflt_value IS NOT NULL OR pk FROM pragma_table_info(?1) WHERE name = ?2', (table, column)
    ).fetchone()
    indexed = db.execute(
        "SELECT 1 FROM pragma_index_list(?1) list, pragma_index_info(list.name) info WHERE info.name = ?2",
        (table, column),
    ).fetchone()
    if sql_says_more or more[0] or indexed:
        raise DestinationError(
            f"The column '{column}' of {table} should become {to} (`load.schema` evolves types), and SQLite cannot "
            "alter a column that has a constraint or an index. Make the table anew with that type, or choose `types: "
            "discard_row`."
        )
