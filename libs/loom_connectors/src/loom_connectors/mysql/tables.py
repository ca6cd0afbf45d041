"""Asks a MySQL database what a load must know, and says how what a load needs is created: columns, indexes, tables,
the ledger."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pymysql

from loom_common.errors import DestinationError
from loom_connectors.mysql.server import is_mariadb
from loom_connectors.mysql.statements import name_list, quoted
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.dialect import Rights
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.table_name import TableName

TYPES = {
    Kind.TEXT: "LONGTEXT",
    Kind.INTEGER: "BIGINT",
    Kind.NUMBER: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.JSON: "JSON",
    Kind.BIG_INTEGER: "DECIMAL(65,0)",
    Kind.BYTES: "LONGBLOB",
    Kind.VECTOR: "JSON",
    Kind.ANY: "JSON",
}
_KEY_TYPES = {Kind.TEXT: "VARCHAR(255)", Kind.BYTES: "VARBINARY(255)", Kind.JSON: "VARCHAR(255)"}
"""Types of key columns, because an index needs a length."""
_THIS = "table_schema = coalesce(%s, database()) AND table_name = %s"
_PRIVILEGES = {"append": ("INSERT",), "upsert": ("INSERT", "UPDATE"), "replace": ("INSERT", "DELETE", "SELECT")}

Connection = pymysql.Connection


def columns_of_table(connection: Connection, table: TableName) -> dict[str, str]:
    """Return the columns that can be written, with their types; `json` for those that hold JSON, `json64` where its
    numbers have 64 bits. Empty where there is no table."""
    rows = asked(
        connection,
        "SELECT column_name, column_type FROM information_schema.columns "
        f"WHERE {_THIS} AND coalesce(generation_expression, '') = '' ORDER BY ordinal_position",
        table,
    )
    json = json_columns(connection, table) if rows else frozenset()
    kept_as = "json" if is_mariadb(connection) else "json64"
    return {name: kept_as if name in json else kind for name, kind in rows}


def computed_columns(connection: Connection, table: TableName) -> dict[str, str]:
    """Return how the columns are filled in that no INSERT may name."""
    rows = asked(
        connection,
        "SELECT column_name FROM information_schema.columns "
        f"WHERE {_THIS} AND coalesce(generation_expression, '') <> ''",
        table,
    )
    return {name: "a generated column" for (name,) in rows}


def json_columns(connection: Connection, table: TableName) -> frozenset[str]:
    """Return the columns that hold JSON, which for MariaDB is a text with a check."""
    if not is_mariadb(connection):
        found = asked(
            connection,
            f"SELECT column_name FROM information_schema.columns WHERE {_THIS} AND data_type = 'json'",
            table,
        )
        return frozenset(name for (name,) in found)
    found = asked(
        connection,
        "SELECT constraint_name FROM information_schema.check_constraints WHERE "
        "constraint_schema = coalesce(%s, database()) AND table_name = %s AND level = 'Column' "
        "AND check_clause = concat('json_valid(`', replace(constraint_name, '`', '``'), '`)')",
        table,
    )
    return frozenset(name for (name,) in found)


def unique_keys(connection: Connection, table: TableName) -> list[tuple[str, ...]]:
    """Return the columns of the primary key, which comes first, and of each unique index on whole columns."""
    return [names for names, _ in _keys(connection, table)]


def not_null_keys(connection: Connection, table: TableName) -> list[tuple[str, ...]]:
    """Return the columns of those of them in which no column can be NULL."""
    return [names for names, nullable in _keys(connection, table) if not nullable]


def _keys(connection: Connection, table: TableName) -> list[tuple[tuple[str, ...], bool]]:
    rows = asked(
        connection,
        "SELECT index_name, column_name, nullable = 'YES', sub_part IS NOT NULL FROM information_schema.statistics "
        f"WHERE {_THIS} AND non_unique = 0 ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index",
        table,
    )
    found: dict[str, list[Sequence[Any]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    whole = [parts for parts in found.values() if all(part[1] is not None and part[3] == "0" for part in parts)]
    return [(tuple(part[1] for part in parts), any(part[2] == "1" for part in parts)) for parts in whole]


def rights(connection: Connection, table: TableName, mode: Mode) -> Rights:
    """Return what the user may do with the table. Raises `DestinationError` for a table without transactions."""
    found = asked(
        connection,
        "SELECT t.table_type, e.transactions FROM information_schema.tables t "
        f"LEFT JOIN information_schema.engines e ON e.engine = t.engine WHERE {_THIS.replace('table_', 't.table_')}",
        table,
    )
    if found and found[0][0] == "BASE TABLE" and found[0][1] == "NO":
        raise DestinationError(
            f"The table {table} has an engine without transactions, so its rows and the load ledger cannot be written "
            f"together. ALTER TABLE {table.quoted_by(quoted)} ENGINE = InnoDB."
        )
    read_only = asked(connection, "SELECT @@global.read_only")[0][0] == "1" and not _may(connection, table, "SUPER")
    return Rights(
        read_only=read_only,
        exists=bool(found),
        may_write=not found or all(_may(connection, table, each) for each in _PRIVILEGES[mode]),
        may_create=_may(connection, table, "CREATE"),
        may_alter=not found or _may(connection, table, "ALTER"),
    )


def _may(connection: Connection, table: TableName, privilege: str) -> bool:
    """Tell whether the user has a privilege on the table. A user with a role may have it by that, which is not asked;
    the server then decides."""
    grantee = "concat('''', replace(current_user(), '@', '''@'''), '''')"
    schema = "coalesce(%s, database())"
    sql = (
        "SELECT 1 FROM information_schema.user_privileges "
        f"WHERE grantee = {grantee} AND privilege_type = %s UNION ALL "
        f"SELECT 1 FROM information_schema.schema_privileges WHERE grantee = {grantee} AND privilege_type = %s "
        f"AND {schema} LIKE table_schema UNION ALL "
        f"SELECT 1 FROM information_schema.table_privileges WHERE grantee = {grantee} AND privilege_type = %s "
        f"AND table_schema = {schema} AND table_name = %s "
        "UNION ALL SELECT 1 FROM dual WHERE current_role() IS NOT NULL AND current_role() <> 'NONE'"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, (privilege, privilege, table.schema, privilege, table.schema, table.name))
        return bool(cursor.fetchall())


def ledger_sql(ledger: TableName) -> str:
    """Return the statement that creates the load ledger where it is missing."""
    return (
        f"CREATE TABLE IF NOT EXISTS {ledger.quoted_by(quoted)} (run_id VARCHAR(255) NOT NULL, "
        "batch_id VARCHAR(255) NOT NULL, loaded BIGINT NOT NULL, failed LONGTEXT NOT NULL, "
        "loaded_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), PRIMARY KEY (run_id, batch_id)) "
        "ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    )


def type_of(kind: Kind, *, in_key: bool) -> str:
    """Return the type that a column of a kind gets."""
    return _KEY_TYPES.get(kind, TYPES[kind]) if in_key else TYPES[kind]


def table_sql(connection: Connection, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> str:
    """Return the statement that creates the table where it is missing. Its texts are compared by their characters."""
    columns = [f"{quoted(name)} {type_of(kind, in_key=name in key)}" for name, kind in kinds.items()]
    primary = [f"PRIMARY KEY ({name_list(key)})"] if key else []
    collation = "utf8mb4_nopad_bin" if is_mariadb(connection) else "utf8mb4_0900_bin"
    return (
        f"CREATE TABLE IF NOT EXISTS {table.quoted_by(quoted)} ({', '.join([*columns, *primary])}) "
        f"ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation}"
    )


def like_sql(staging: TableName, table: TableName) -> str:
    """Return the statement that creates an empty table like `table`, with its constraints, where it is missing."""
    return f"CREATE TABLE IF NOT EXISTS {staging.quoted_by(quoted)} LIKE {table.quoted_by(quoted)}"


def asked(connection: Connection, sql: str, table: TableName | None = None, *more: str) -> Sequence[Sequence[Any]]:
    """Return the rows of a query, whose first values are the schema and the name of the table, where one is given."""
    with connection.cursor() as cursor:
        cursor.execute(sql, (table.schema, table.name, *more) if table else None)
        return cursor.fetchall()
