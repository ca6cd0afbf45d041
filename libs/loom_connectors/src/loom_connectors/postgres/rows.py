"""Rows into a Postgres table: all at once by COPY, or in halves until those at fault stand alone."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from loom_common.domain.values.ids import content_hash
from loom_connectors.ports import FailedRow, Row
from loom_connectors.postgres.copy_text import copy_text
from loom_connectors.postgres.server import TableName, is_a_rows_fault
from loom_connectors.sql.columns import columns_of
from loom_connectors.sql.parameters import name_list, quoted
from loom_connectors.values import EMPTY_TEXT, UnfitValue

_ORDER = "loom_order"


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go: the table, or the staging table of a replacing run."""

    table: TableName
    columns: dict[str, str]
    """The form in which `copy_text` writes each column."""
    key: tuple[str, ...]
    """What a row is updated by; empty where rows are only added."""


Write = Callable[[Any, Target, Sequence[Row], float], Awaitable[list[FailedRow]]]
"""Writes rows in the connection's transaction, each statement within so many seconds."""


async def write(connection: Any, target: Target, rows: Sequence[Row], seconds: float) -> list[FailedRow]:
    """All at once. Raises the database's error, or `UnfitValue`, where one of them is refused."""
    columns = columns_of(rows)
    if target.key:
        await _upsert(connection, target, rows, columns, seconds)
    else:
        data = memoryview(copy_text(rows, columns, target.columns))  # the driver takes bytes for a path
        table = target.table
        await connection.copy_to_table(
            table.name, schema_name=table.schema, columns=columns, source=data, timeout=seconds
        )
    return []


async def write_apart(connection: Any, target: Target, rows: Sequence[Row], seconds: float) -> list[FailedRow]:
    """In halves, each in a savepoint, until the rows at fault stand alone. The others are written."""
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    try:
        async with connection.transaction():
            return await write(connection, target, rows, seconds)
    except (asyncpg.PostgresError, UnfitValue) as error:
        if not isinstance(error, UnfitValue) and not is_a_rows_fault(error):
            raise
        if len(rows) == 1:
            return [_failed(rows[0], error)]
    half = len(rows) // 2
    first = await write_apart(connection, target, rows[:half], seconds)
    return first + await write_apart(connection, target, rows[half:], seconds)


async def _upsert(connection: Any, target: Target, rows: Sequence[Row], columns: Sequence[str], seconds: float) -> None:
    """By way of a temporary table, whose rows are one for each key: the batch's last.

    The connection keeps that table, empty: to make it anew for each batch takes longer than all the rest."""
    names, key, table = name_list(columns), name_list(target.key), target.table.sql
    batch = f"loom_batch_{content_hash(table.encode())[:16]}"
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


def _failed(row: Row, error: asyncpg.PostgresError | UnfitValue) -> FailedRow:
    """A row the database refused, in the database's words, or that it would have changed."""
    if isinstance(error, UnfitValue):
        return FailedRow(row.record_id, "type", str(error))
    state, words = error.sqlstate or "", str(error).splitlines()[0]
    column = getattr(error, "column_name", None) or _column_in(getattr(error, "context", None) or "")
    where = f"column {column}: " if column and f'"{column}"' not in words else ""
    detail = f" ({error.detail})" if state in ("23503", "23505") and getattr(error, "detail", None) else ""
    code = "type" if state.startswith(("22", "54")) else "constraint"
    hint = EMPTY_TEXT if code == "type" and row.values.get(column or "") == "" else ""
    return FailedRow(row.record_id, code, f"{where}{words}{detail}{hint}")


def _column_in(context: str) -> str | None:
    """The column that COPY names: `COPY scores, line 3, column score: "high"`."""
    found = re.search(r", column ([^:]+):", context)
    return found[1] if found else None
