"""Asks a Snowflake schema what a load must know, and says how what a load needs is created: columns, tables, the
ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import snowflake.connector as driver

from loom_connectors.snowflake.server import MISSING, Connection, number_of
from loom_connectors.snowflake.statements import name_list, quoted, turned
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.table_name import TableName

TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.INTEGER: "NUMBER(38,0)",
    Kind.NUMBER: "FLOAT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.JSON: "VARIANT",
    Kind.BIG_INTEGER: "NUMBER(38,0)",
    Kind.BYTES: "BINARY",
    Kind.VECTOR: "VARIANT",
    Kind.ANY: "VARIANT",
}
LOCK = "lock"
"""The row of the ledger, of no run, that a transaction updates before it enters anything. Snowflake checks no primary
key, so two transactions could enter one batch; but one that updates a row waits for the other that did."""


def columns_of_table(connection: Connection, table: TableName) -> dict[str, str]:
    """Return the columns that can be written, with their types. Empty where there is no table."""
    try:
        rows = connection.fetched(f"DESCRIBE TABLE {table.quoted_by(quoted)}")
    except driver.ProgrammingError as error:
        if number_of(error) in MISSING:
            return {}
        raise
    return {turned(str(name)): str(kind) for name, kind, what, *_ in rows if what == "COLUMN"}


def ledger_sql(ledger: TableName) -> str:
    """Return the statement that creates the load ledger, with the row that is locked, where it is missing."""
    return (
        f"CREATE TABLE IF NOT EXISTS {ledger.quoted_by(quoted)} AS SELECT CAST('' AS VARCHAR) AS {quoted('run_id')}, "
        f"CAST('{LOCK}' AS VARCHAR) AS {quoted('batch_id')}, CAST(0 AS NUMBER(38,0)) AS {quoted('loaded')}, "
        f"CAST('[]' AS VARCHAR) AS {quoted('failed')}, "
        f"CAST(CURRENT_TIMESTAMP() AS TIMESTAMP_LTZ) AS {quoted('loaded_at')}"
    )


def table_sql(table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> str:
    """Return the statement that creates the table where it is missing. Its primary key is a note for readers."""
    columns = [f"{quoted(name)} {TYPES[kind]}" for name, kind in kinds.items()]
    primary = [f"PRIMARY KEY ({name_list(key)})"] if key else []
    return f"CREATE TABLE IF NOT EXISTS {table.quoted_by(quoted)} ({', '.join([*columns, *primary])})"
