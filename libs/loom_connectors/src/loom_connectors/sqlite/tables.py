"""Asks a SQLite database what a load must know, and creates in it what a load needs: columns, indexes, tables, the
ledger."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from loom_connectors.sql.columns import Kind
from loom_connectors.sql.load_modes import replaces_view
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.sqlite.values import ANY_JSON

TYPES = {
    Kind.TEXT: "TEXT",
    Kind.INTEGER: "INTEGER",
    Kind.NUMBER: "REAL",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.JSON: "TEXT",
    Kind.BIG_INTEGER: "TEXT",
    Kind.BYTES: "BLOB",
    Kind.VECTOR: "TEXT",
    Kind.ANY: ANY_JSON,
}
_CREATED = re.compile(
    r"""CREATE\s+TABLE\s+("(?:[^"]|"")*"|\[[^\]]*\]|`(?:[^`]|``)*`|'(?:[^']|'')*'|[^\s("\[`']+)""", re.IGNORECASE
)


def columns_of_table(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return the columns that can be written, with their declared types. Empty where there is no table."""
    rows = db.execute("SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", (table,))
    return dict(rows.fetchall())


def computed_columns(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return how the columns are filled in that no INSERT may name."""
    rows = db.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden IN (2, 3)", (table,))
    return {name: "a generated column" for (name,) in rows.fetchall()}


def is_view(db: sqlite3.Connection, table: str) -> bool:
    """Tell whether `table` has no rowid: a view, a virtual table, or one made WITHOUT ROWID."""
    sql = "SELECT type <> 'table' OR wr FROM pragma_table_list(?)"
    row = db.execute(sql, (table,)).fetchone()
    return bool(row and row[0])


def affinity_of(db: sqlite3.Connection, query: str, values: Sequence[Any], column: str) -> str:
    """Return the affinity of a column of a query: `TEXT`, `NUM`, `INT`, `REAL`, or nothing. A table that is created
    from a query has it as the declared type."""
    db.execute("DROP TABLE IF EXISTS temp.loom_affinity")
    db.execute(f"CREATE TEMP TABLE loom_affinity AS SELECT {quoted(column)} FROM (\n{query}\n) LIMIT 0", values)
    (found,) = db.execute("SELECT type FROM pragma_table_info('loom_affinity')").fetchone()
    return str(found)


def unique_keys(db: sqlite3.Connection, table: str) -> list[tuple[str, ...]]:
    """Return the columns of the primary key and of each unique index that an upsert can go by."""
    primary = db.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    keys = [tuple(name for (name,) in primary)]
    for (index,) in db.execute(
        'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,)
    ).fetchall():
        names = tuple(name for (name,) in db.execute("SELECT name FROM pragma_index_info(?)", (index,)))
        if None not in names:
            keys.append(names)
    return [key for key in keys if key]


def create_ledger(db: sqlite3.Connection, ledger: str) -> None:
    """Create the load ledger where it is missing."""
    db.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {quoted(ledger)} (
            run_id TEXT NOT NULL, batch_id TEXT NOT NULL, loaded INTEGER NOT NULL, failed TEXT NOT NULL,
            loaded_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (run_id, batch_id)
        )
        """
    )


def create_table(db: sqlite3.Connection, table: str, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
    """Create the table where it is missing."""
    columns = [f"{quoted(name)} {TYPES[kind]}" for name, kind in kinds.items()]
    primary = [f"PRIMARY KEY ({name_list(key)})"] if key else []
    db.execute(f"CREATE TABLE IF NOT EXISTS {quoted(table)} ({', '.join([*columns, *primary])})")


def statement_of(db: sqlite3.Connection, table: str) -> str:
    """Return the statement that created a table. Raises `DestinationError` for a view."""
    found = db.execute(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", (table,)
    ).fetchone()
    if found is None:
        raise replaces_view(table)
    sql: str = found[0]
    return sql


def create_like(db: sqlite3.Connection, staging: str, table: str) -> None:
    """Create an empty table like `table`, with its constraints, where it is missing. Raises `DestinationError` for a
    view."""
    if columns_of_table(db, staging):
        return
    sql = statement_of(db, table)
    db.execute(_CREATED.sub(lambda _: f"CREATE TABLE {quoted(staging)}", sql, count=1))
    for number, key in enumerate(unique_keys(db, table)):
        name = quoted(f"{staging}_{number}")
        db.execute(f"CREATE UNIQUE INDEX {name} ON {quoted(staging)} ({name_list(key)})")


def insert_sql(table: str, columns: Sequence[str], key: Sequence[str], rows: int = 1) -> str:
    """Return the statement that inserts so many rows, or updates those with their keys. `table` is quoted."""
    row = f"({', '.join('?' * len(columns))})"
    sql = f"INSERT INTO {table} ({name_list(columns)}) VALUES {', '.join([row] * rows)}"
    if not key:
        return sql
    changed = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in columns if name not in key)
    return f"{sql} ON CONFLICT ({name_list(key)}) DO {f'UPDATE SET {changed}' if changed else 'NOTHING'}"
