"""Writes rows into a Postgres table by COPY, and tells the reason why one is refused."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from loom_common.domain.values.ids import content_hash
from loom_connectors.ports.destination import FailedRow, Row
from loom_connectors.postgres.copy_text import copy_text
from loom_connectors.sql.columns import columns_of
from loom_connectors.sql.dialect import Target
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.values import EMPTY_TEXT

_ORDER = "loom_order"


async def write(connection: Any, target: Target, rows: Sequence[Row], seconds: float) -> None:
    """Write all rows at once, each statement within so many seconds. Raises the database's error, or `UnfitValue`,
    where one of them is refused."""
    columns = columns_of(rows)
    if target.key:
        await _upsert(connection, target, rows, columns, seconds)
    else:
        data = memoryview(copy_text(rows, columns, target.columns))  # the driver takes bytes for a path
        table = target.table
        await connection.copy_to_table(
            table.name, schema_name=table.schema, columns=columns, source=data, timeout=seconds
        )


async def _upsert(connection: Any, target: Target, rows: Sequence[Row], columns: Sequence[str], seconds: float) -> None:
    """Copy the rows into a temporary table, and from there the last of each key into the table.

    The connection keeps the temporary table, empty: creating it for each batch takes longer than all the rest. A table
    that has other columns or types by now has another one."""
    names, key, table = name_list(columns), name_list(target.key), target.table.sql
    made_for = " ".join((table, *(f"{name} {kind}" for name, kind in target.types.items())))
    batch = f"loom_batch_{content_hash(made_for.encode())[:16]}"
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {batch} ON COMMIT DELETE ROWS AS SELECT 0::bigint AS {_ORDER}, "
        f"{name_list(list(target.columns))} FROM {table} WITH NO DATA; DELETE FROM {batch}"
    )
    data = memoryview(copy_text(rows, columns, target.columns, numbered=True))
    await connection.copy_to_table(batch, columns=[_ORDER, *columns], source=data, timeout=seconds)
    changed = ", ".join(f"{quoted(each)} = EXCLUDED.{quoted(each)}" for each in columns if each not in target.key)
    await connection.execute(
        f"INSERT INTO {table} ({names}) SELECT DISTINCT ON ({key}) {names} FROM {batch} "
        f"ORDER BY {key}, {_ORDER} DESC ON CONFLICT ({key}) DO {f'UPDATE SET {changed}' if changed else 'NOTHING'}",
        timeout=seconds,
    )


_UNWRITABLE_TEXT = ("22021", "22P05")
"""The states of errors about characters that a text cannot hold. Postgres does not say in which column they stand."""


def failed_row(row: Row, error: Exception) -> FailedRow:
    """Return a row that the database refused, with the database's own reason, or that it would have changed
    (`UnfitValue`)."""
    if not isinstance(error, asyncpg.PostgresError):
        return FailedRow(row.record_id, "type", str(error))
    state, words = error.sqlstate or "", str(error).splitlines()[0]
    column = getattr(error, "column_name", None) or _column_in(getattr(error, "context", None) or "")
    if column is None and state in _UNWRITABLE_TEXT:
        column = next((name for name, value in row.values.items() if _holds_nul(value)), None)
    where = f"column {column}: " if column and f'"{column}"' not in words else ""
    detail = f" ({error.detail})" if state in ("23503", "23505") and getattr(error, "detail", None) else ""
    code = "type" if state.startswith(("22", "54")) else "constraint"
    hint = EMPTY_TEXT if code == "type" and row.values.get(column or "") == "" else ""
    return FailedRow(row.record_id, code, f"{where}{words}{detail}{hint}")


def _holds_nul(value: object) -> bool:
    """Tell whether a text, or one within a list or an object, holds NUL, which no text in Postgres can."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_holds_nul(each) for pair in value.items() for each in pair)
    return isinstance(value, list | tuple) and any(_holds_nul(each) for each in value)


def _column_in(context: str) -> str | None:
    """Return the column that COPY names: `COPY scores, line 3, column score: "high"`."""
    found = re.search(r", column ([^:]+):", context)
    return found[1] if found else None
