"""What a SQLite destination asks and makes: columns, indexes, tables, the load ledger; and how rows get in."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence

from loom_connectors.ports import FailedRow, Row
from loom_connectors.sql.columns import Kind, columns_of
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.sqlite.values import ANY_JSON, Bind, binder, bound_row
from loom_connectors.values import EMPTY_TEXT, UnfitValue, json_text

_TYPES = {
    Kind.TEXT: "TEXT",
    Kind.INTEGER: "INTEGER",
    Kind.NUMBER: "REAL",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.JSON: "TEXT",
    Kind.BIG_INTEGER: "TEXT",
    Kind.BYTES: "BLOB",
    Kind.ANY: ANY_JSON,
}
LEDGER = "loom_load_ledger"
_CREATED = re.compile(
    r"""CREATE\s+TABLE\s+("(?:[^"]|"")*"|\[[^\]]*\]|`(?:[^`]|``)*`|'(?:[^']|'')*'|[^\s("\[`']+)""", re.IGNORECASE
)
_ROW_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeEncodeError,
    UnfitValue,
)


def columns_of_table(db: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns that can be written, with their declared types. Empty where there is no table."""
    rows = db.execute("SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", (table,))
    return dict(rows.fetchall())


def is_view(db: sqlite3.Connection, table: str) -> bool:
    """Whether `table` has no rowid: a view, a virtual table, or one made WITHOUT ROWID."""
    sql = "SELECT type <> 'table' OR wr FROM pragma_table_list(?)"
    row = db.execute(sql, (table,)).fetchone()
    return bool(row and row[0])


def unique_keys(db: sqlite3.Connection, table: str) -> list[tuple[str, ...]]:
    """The columns of the primary key and of each unique index that an upsert can go by."""
    primary = db.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    keys = [tuple(name for (name,) in primary)]
    for (index,) in db.execute(
        'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,)
    ).fetchall():
        names = tuple(name for (name,) in db.execute("SELECT name FROM pragma_index_info(?)", (index,)))
        if None not in names:
            keys.append(names)
    return [key for key in keys if key]


def make_ledger(db: sqlite3.Connection, ledger: str) -> None:
    """Make the load ledger where it is missing."""
    db.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {ledger} (
            run_id TEXT NOT NULL, batch_id TEXT NOT NULL, loaded INTEGER NOT NULL, failed TEXT NOT NULL,
            loaded_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (run_id, batch_id)
        )
        """
    )


def loaded_threads(db: sqlite3.Connection, ledger: str, origin: str, threads: Sequence[str]) -> set[str]:
    """Those of a run's records, by their threads, that replays of it have loaded."""
    sql = f"SELECT batch_id FROM {ledger} WHERE run_id = ? AND batch_id IN (SELECT value FROM json_each(?))"
    return {name for (name,) in db.execute(sql, (origin, json_text(list(threads))))}


def make_table(db: sqlite3.Connection, table: str, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
    """Make the table."""
    columns = [f"{quoted(name)} {_TYPES[kind]}" for name, kind in kinds.items()]
    primary = [f"PRIMARY KEY ({name_list(key)})"] if key else []
    db.execute(f"CREATE TABLE {quoted(table)} ({', '.join([*columns, *primary])})")


def make_staging(db: sqlite3.Connection, staging: str, table: str) -> None:
    """Make an empty table like `table`, with its constraints, where it is missing."""
    if columns_of_table(db, staging):
        return
    (sql,) = db.execute(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", (table,)
    ).fetchone()
    db.execute(_CREATED.sub(lambda _: f"CREATE TABLE {quoted(staging)}", sql, count=1))
    for number, key in enumerate(unique_keys(db, table)):
        name = quoted(f"{staging}_{number}")
        db.execute(f"CREATE UNIQUE INDEX {name} ON {quoted(staging)} ({name_list(key)})")


def copy_rows(db: sqlite3.Connection, source: str, target: str) -> None:
    """All rows of one table into another like it."""
    names = name_list(list(columns_of_table(db, source)))
    db.execute(f"INSERT INTO {quoted(target)} ({names}) SELECT {names} FROM {quoted(source)}")


def write(
    db: sqlite3.Connection, table: str, types: Mapping[str, str], rows: Sequence[Row], key: Sequence[str]
) -> list[FailedRow]:
    """Write rows: all at once, and if one is refused, each by itself. `types` are the declared types of the table's
    columns. Returns those that SQLite refused or would have changed."""
    if not rows:
        return []
    columns = columns_of(rows)
    sql = _insert(table, columns, key)
    binders = [(name, binder(types[name])) for name in columns]
    db.execute("SAVEPOINT loom_batch")
    try:
        db.executemany(sql, [bound_row(row.values, binders) for row in rows])
    except _ROW_ERRORS:
        db.execute("ROLLBACK TO loom_batch")
        return _each(db, sql, rows, binders)
    finally:
        if db.in_transaction:
            db.execute("RELEASE loom_batch")
    return []


def _each(
    db: sqlite3.Connection, sql: str, rows: Sequence[Row], binders: Sequence[tuple[str, Bind]]
) -> list[FailedRow]:
    failed = []
    for row in rows:
        try:
            db.execute(sql, bound_row(row.values, binders))
        except _ROW_ERRORS as error:
            name = getattr(error, "sqlite_errorname", "")
            constraint = name.startswith("SQLITE_CONSTRAINT") and name != "SQLITE_CONSTRAINT_DATATYPE"
            failed.append(FailedRow(row.record_id, "constraint" if constraint else "type", _words(error, row)))
    return failed


def _words(error: Exception, row: Row) -> str:
    if not isinstance(error, UnicodeEncodeError):
        misfit = "cannot store TEXT value" in str(error) and "" in row.values.values()
        return f"{error}.{EMPTY_TEXT}" if misfit else str(error)
    column = next((name for name, value in row.values.items() if isinstance(value, str) and not _is_unicode(value)), "")
    return f"column {column}: the text holds half a surrogate pair, which is no character."


def _is_unicode(text: str) -> bool:
    return text == text.encode(errors="replace").decode()


def _insert(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    sql = f"INSERT INTO {quoted(table)} ({name_list(columns)}) VALUES ({', '.join('?' * len(columns))})"
    if not key:
        return sql
    changed = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in columns if name not in key)
    return f"{sql} ON CONFLICT ({name_list(key)}) DO {f'UPDATE SET {changed}' if changed else 'NOTHING'}"
