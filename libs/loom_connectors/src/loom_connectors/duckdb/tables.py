"""Asks a DuckDB database what a load must know, and creates in it what a load needs: columns, indexes, tables, the
ledger."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from loom_connectors.sql.columns import Kind
from loom_connectors.sql.load_modes import replaces_view
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.sql.table_name import TableName

TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.INTEGER: "BIGINT",
    Kind.NUMBER: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.JSON: "JSON",
    Kind.BIG_INTEGER: "BIGNUM",
    Kind.BYTES: "BLOB",
    Kind.VECTOR: "JSON",
    Kind.ANY: "JSON",
}
_CREATED = re.compile(r'CREATE TABLE (?:(?:"(?:[^"]|"")*"|\w+)\.)*(?:"(?:[^"]|"")*"|\w+)')
_PLAIN_COLUMN = re.compile(r'"(?:[^"]|"")*"|\w+')


@dataclass(frozen=True, slots=True)
class _Key:
    columns: tuple[str, ...]
    primary: bool


def kind_of_table(db: duckdb.DuckDBPyConnection, table: TableName) -> str | None:
    """Return `BASE TABLE` or `VIEW`; None where there is neither."""
    sql = (
        "SELECT table_type FROM information_schema.tables WHERE table_catalog = current_database() "
        "AND table_schema = coalesce($1, current_schema()) AND lower(table_name) = lower($2)"
    )
    found = db.execute(sql, [table.schema, table.name]).fetchone()
    return None if found is None else str(found[0])


def columns_of_table(db: duckdb.DuckDBPyConnection, table: TableName) -> dict[str, str]:
    """Return the columns that can be written, with their types. Empty where there is no table."""
    sql = (
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name = coalesce($1, current_schema()) AND lower(table_name) = lower($2) AND NOT is_generated "
        "ORDER BY column_index"
    )
    return dict(db.execute(sql, [table.schema, table.name]).fetchall())


def unique_keys(db: duckdb.DuckDBPyConnection, table: TableName) -> list[tuple[str, ...]]:
    """Return the columns of the primary key and of each unique index that an upsert can go by."""
    return [key.columns for key in _keys(db, table)]


def is_unique(db: duckdb.DuckDBPyConnection, table: TableName, names: Sequence[str]) -> bool:
    """Tell whether `names` are the columns of the primary key, or more."""
    return any(key.primary and set(key.columns) <= set(names) for key in _keys(db, table))


def ledger_sql(ledger: TableName) -> str:
    """Return the statement that creates the load ledger where it is missing."""
    return f"""
        CREATE TABLE IF NOT EXISTS {ledger.sql} (
            run_id VARCHAR NOT NULL, batch_id VARCHAR NOT NULL, loaded BIGINT NOT NULL, failed VARCHAR NOT NULL,
            loaded_at TIMESTAMPTZ NOT NULL DEFAULT now(), PRIMARY KEY (run_id, batch_id)
        )
        """


def table_sql(table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> str:
    """Return the statement that creates the table where it is missing."""
    columns = [f"{quoted(name)} {TYPES[kind]}" for name, kind in kinds.items()]
    primary = [f"PRIMARY KEY ({name_list(key)})"] if key else []
    return f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join([*columns, *primary])})"


def like_sql(db: duckdb.DuckDBPyConnection, staging: TableName, table: TableName) -> list[str]:
    """Return the statements that create an empty table like `table`, with its constraints; none where it is there.
    Raises `DestinationError` for a view."""
    if columns_of_table(db, staging):
        return []
    sql = (
        "SELECT sql FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = coalesce($1, current_schema()) AND lower(table_name) = lower($2)"
    )
    created = db.execute(sql, [table.schema, table.name]).fetchone()
    if created is None:
        raise replaces_view(str(table))
    statements = [_CREATED.sub(lambda _: f"CREATE TABLE {staging.sql}", created[0], count=1)]
    for number, key in enumerate(_indexed(db, table)):
        name = quoted(f"{staging.name}_{number}")
        statements.append(f"CREATE UNIQUE INDEX {name} ON {staging.sql} ({name_list(key)})")
    return statements


def _keys(db: duckdb.DuckDBPyConnection, table: TableName) -> list[_Key]:
    sql = (
        "SELECT constraint_column_names, constraint_type = 'PRIMARY KEY' FROM duckdb_constraints() "
        "WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND database_name = current_database() "
        "AND schema_name = coalesce($1, current_schema()) AND lower(table_name) = lower($2)"
    )
    declared = db.execute(sql, [table.schema, table.name]).fetchall()
    keys = [_Key(tuple(names), primary=primary) for names, primary in declared]
    return keys + [_Key(names, primary=False) for names in _indexed(db, table)]


def _indexed(db: duckdb.DuckDBPyConnection, table: TableName) -> list[tuple[str, ...]]:
    """Return the columns of each unique index on columns alone."""
    sql = (
        "SELECT expressions FROM duckdb_indexes() WHERE is_unique AND database_name = current_database() "
        "AND schema_name = coalesce($1, current_schema()) AND lower(table_name) = lower($2)"
    )
    found = []
    for (written,) in db.execute(sql, [table.schema, table.name]).fetchall():
        parts = [str(each) for each in ast.literal_eval(written)]
        if all(_PLAIN_COLUMN.fullmatch(part) for part in parts):
            found.append(tuple(part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts))
    return found
