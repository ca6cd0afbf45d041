"""Asks a Postgres database what a load must know, and creates in it what a load needs: columns, indexes, tables, the
ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loom_connectors.sql.columns import Kind
from loom_connectors.sql.dialect import Rights
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.sql.table_name import TableName

LOCK = 7_220_586_111_003_127_101
"""The advisory lock under which Loom creates tables: of two that create the same one at once, one would fail."""
TYPES = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.NUMBER: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.JSON: "jsonb",
    Kind.BIG_INTEGER: "numeric",
    Kind.BYTES: "bytea",
    Kind.VECTOR: "real[]",
    Kind.ANY: "jsonb",
}
_FORMS = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), "integer"),
    "float8": "double",
    "float4": "single",
    "bytea": "bytes",
    "date": "date",
    "box": "box",
    **dict.fromkeys(("json", "jsonb"), "json"),
}


async def columns_of_table(connection: Any, table: TableName) -> dict[str, str]:
    """Return column names and the form in which `copy_text` writes each. Empty where there is no table."""
    rows = await connection.fetch(
        """
        SELECT a.attname, b.typname, b.typcategory = 'A' AND b.typelem <> 0 AS is_array, f.typname AS element,
               CASE WHEN t.typtype = 'd' THEN t.typtypmod WHEN e.typtype = 'd' THEN e.typtypmod ELSE a.atttypmod END
                 AS modifier
        FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
        LEFT JOIN pg_type e ON b.typcategory = 'A' AND e.oid = b.typelem
        LEFT JOIN pg_type f ON f.oid = CASE WHEN e.typtype = 'd' THEN e.typbasetype ELSE e.oid END
        WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        ORDER BY a.attnum
        """,
        table.sql,
    )
    return {row["attname"]: _form(row) for row in rows}


def _form(row: Mapping[str, Any]) -> str:
    if row["is_array"]:
        return f"array {_scalar_form(row['element'], row['modifier'])}"
    return _scalar_form(row["typname"], row["modifier"])


def _scalar_form(name: str, modifier: int) -> str:
    """Choose by the type and its modifier, which holds a column's digits (numeric.h, timestamp.h)."""
    if name == "numeric":
        return "text" if modifier < 0 else f"numeric {(((modifier - 4) & 0x7FF) ^ 1024) - 1024}"
    if name in ("timestamp", "time"):
        return f"timestamp {modifier if modifier >= 0 else 6}"
    if name in ("timestamptz", "timetz"):
        return f"moment {modifier if modifier >= 0 else 6}"
    return _FORMS.get(name, "text")


async def computed_columns(connection: Any, table: TableName) -> dict[str, str]:
    """Return how the columns are filled in that no INSERT may name."""
    rows = await connection.fetch(
        """
        SELECT attname, attgenerated <> '' AS generated FROM pg_attribute
        WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
          AND (attgenerated <> '' OR attidentity = 'a')
        """,
        table.sql,
    )
    how = {True: "a generated column", False: "GENERATED ALWAYS AS IDENTITY"}
    return {row["attname"]: how[row["generated"]] for row in rows}


async def rights(connection: Any, table: TableName, mode: Mode) -> Rights:
    """Return what the user may do with the table."""
    needed = {"append": "INSERT", "upsert": "INSERT UPDATE", "replace": "INSERT DELETE"}[mode].split()
    row = await connection.fetchrow(
        """
        SELECT current_setting('transaction_read_only')::boolean AS read_only,
               to_regclass($1) IS NOT NULL AS exists,
               (SELECT bool_and(has_table_privilege(to_regclass($1), privilege)) FROM unnest($3::text[]) privilege)
                 IS NOT FALSE AS may_write,
               coalesce(has_schema_privilege(coalesce($2, current_schema()), 'CREATE'), false) AS may_create,
               (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass($1)) IS NOT FALSE
                 AS may_alter
        """,
        table.sql,
        table.schema,
        needed,
    )
    return Rights(**row)


async def unique_keys(connection: Any, table: TableName) -> list[tuple[str, ...]]:
    """Return the columns of each unique index that an upsert can go by."""
    rows = await connection.fetch(
        """
        SELECT array_agg(a.attname::text) AS names
        FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
          AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
        GROUP BY i.indexrelid
        """,
        table.sql,
    )
    return [tuple(row["names"]) for row in rows]


async def create_ledger(connection: Any, ledger: TableName) -> None:
    """Create the load ledger where it is missing, in the caller's transaction."""
    if await connection.fetchval("SELECT to_regclass($1)", ledger.sql) is not None:
        return
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    await connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS {ledger.sql} (
            run_id text NOT NULL, batch_id text NOT NULL, loaded bigint NOT NULL, failed jsonb NOT NULL,
            loaded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run_id, batch_id)
        )
        """
    )


async def types_of(connection: Any, kinds: Iterable[Kind]) -> Mapping[Kind, str]:
    """Return the types of new columns. Vectors are those of the extension pgvector, where the database has it."""
    if Kind.VECTOR in kinds and await connection.fetchval("SELECT to_regtype('vector') IS NOT NULL"):
        return {**TYPES, Kind.VECTOR: "vector"}
    return TYPES


async def create_table(connection: Any, table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> None:
    """Create the table where it is missing, in the caller's transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    types = await types_of(connection, kinds.values())
    columns = [f"{quoted(name)} {types[kind]}" for name, kind in kinds.items()]
    primary = [f"PRIMARY KEY ({name_list(key)})"] if key else []
    await connection.execute(f"CREATE TABLE IF NOT EXISTS {table.sql} ({', '.join([*columns, *primary])})")


async def create_like(connection: Any, staging: TableName, table: TableName) -> None:
    """Create an empty table like `table`, with its constraints, where it is missing, in the caller's transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    await connection.execute(f"CREATE TABLE IF NOT EXISTS {staging.sql} (LIKE {table.sql} INCLUDING ALL)")
