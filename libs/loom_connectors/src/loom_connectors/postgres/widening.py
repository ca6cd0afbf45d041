"""Adds columns to a Postgres table, and widens them, in the transaction that writes the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loom_connectors.postgres.tables import LOCK, types_of
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.table_name import TableName

_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_VARCHAR = re.compile(r"character varying\((\d+)\)")


def wider(declared: str, needs: Needs) -> str | None:
    """Return the type that takes what the column holds and these values, too; None where `declared` takes them, or no
    type takes both as they are."""
    if (bits := _BITS.get(declared)) is not None and needs.numbers:
        if needs.within_bits(bits):
            return None
        if needs.within_bits(64):
            return "bigint"
        return "double precision" if bits <= 32 and needs.floating and not needs.whole else "numeric"
    if declared == "real":
        return "double precision" if needs.floating and not needs.single else None
    if (found := _NUMERIC.fullmatch(declared)) is not None and needs.numbers:
        precision, scale = int(found[1]), int(found[2])
        return "numeric" if needs.after > scale or needs.before > precision - scale else None
    if (found := _VARCHAR.fullmatch(declared)) is not None and needs.texts:
        return "text" if needs.longest > int(found[1]) else None
    return None


async def types_of_table(connection: Any, table: TableName) -> dict[str, str]:
    """Return the columns that can be written, with their types. Empty where there is no table."""
    rows = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass($1) "
        "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        table.sql,
    )
    return dict(rows)


async def add_columns(connection: Any, table: TableName, kinds: Mapping[str, Kind]) -> None:
    """Add the columns where they are missing. Raises `DestinationError` for a name that Postgres would cut."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    types = await types_of(connection, kinds.values())
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {quoted(name)} {types[kind]}" for name, kind in kinds.items())
    await connection.execute(f"ALTER TABLE {table.sql} {added}")


async def widen(connection: Any, table: TableName, needs: Mapping[str, Needs]) -> None:
    """Give each column that does not take its values a wider type. `real` goes by its text, so that 0.1 stays 0.1."""
    if not _widened(await types_of_table(connection, table), needs):
        return
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    declared = await types_of_table(connection, table)  # another may have widened them meanwhile
    changes = [
        f"ALTER COLUMN {(column := quoted(name))} TYPE {to} USING "
        f"{f'{column}::text' if declared[name] == 'real' else column}::{to}"
        for name, to in _widened(declared, needs).items()
    ]
    if changes:
        await connection.execute(f"ALTER TABLE {table.sql} {', '.join(changes)}")


def _widened(declared: Mapping[str, str], needs: Mapping[str, Needs]) -> dict[str, str]:
    found = {name: wider(declared[name], each) for name, each in needs.items() if name in declared}
    return {name: to for name, to in found.items() if to is not None}
