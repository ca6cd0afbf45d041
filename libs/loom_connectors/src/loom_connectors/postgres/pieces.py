"""Finds the blocks and keys at which the pieces of a table or query of Postgres begin."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from loom_connectors.ports.source import PIECES
from loom_connectors.postgres.values import Column
from loom_connectors.sql.key_pieces import between, quantiles, worth
from loom_connectors.sql.keyset_paging import ROW
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.table_name import TableName

_PIECE_BLOCKS = 4096
"""The number of blocks of a piece, where nobody says how many pieces there are to be: 32 MiB."""
_SAMPLE_BLOCKS = 256
"""The number of blocks of a table whose keys are looked at to find those at which pieces begin."""
_WHOLE_NUMBERS = ("smallint", "integer", "bigint")
_SAMPLED = (b"r", b"m")
"""Relations of which a sample is read: tables and materialized views."""
NO_TEXT = (UnicodeDecodeError, asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
"""Holds what is raised for a value that is no UTF-8 text."""


async def number_of_blocks(connection: Any, table: TableName) -> int:
    """Return how many blocks of the disk a table has."""
    sql = "SELECT pg_relation_size(to_regclass($1)) / current_setting('block_size')::int"
    return int(await connection.fetchval(sql, table.sql))


async def blocks(connection: Any, table: TableName, parts: int | None) -> list[dict[str, int]]:
    """Return the cursors of the pieces of a table that is read as it lies on disk, but for the first piece."""
    number = await number_of_blocks(connection, table)
    wanted = min(PIECES, number // _PIECE_BLOCKS) if parts is None else parts
    return [{"block": block, "item": 0} for block in between(0, number - 1, wanted)]


async def keys(
    connection: Any,
    query: str,
    values: Sequence[Any],
    key: Column,
    table: TableName | None,
    parts: int | None,
    seconds: float,
) -> list[str] | list[int]:
    """Return the keys at which the pieces of a query begin, but for the first piece. Of a table a sample of its keys is
    looked at; a query can be split by whole numbers, where their range is known within so many seconds."""
    wanted = worth(await _expected_rows(connection, query, values)) if parts is None else parts
    if wanted < 2:  # one piece
        return []
    column = f"{ROW}.{quoted(key.name)}"
    if table is not None and await _kind(connection, table) in _SAMPLED:
        share = min(100.0, 100.0 * _SAMPLE_BLOCKS / max(1, await number_of_blocks(connection, table)))
        sample = f"FROM {table.sql} AS {ROW} TABLESAMPLE SYSTEM ({share}) REPEATABLE (0)"
        try:
            rows = await connection.fetch(
                f"SELECT {column}::text {sample} WHERE NOT ({column} IS NULL) ORDER BY {column}"
            )
        except NO_TEXT:
            return []
        return quantiles([str(row[0]) for row in rows], wanted)
    if key.type not in _WHOLE_NUMBERS:
        return []
    edges = f"SELECT min({column}), max({column}) FROM (\n{query}\n) AS {ROW}"
    try:
        low, high = await connection.fetchrow(edges, *values, timeout=seconds)
    except (TimeoutError, asyncpg.QueryCanceledError):
        return []
    return [] if low is None else between(low, high, wanted)


async def _expected_rows(connection: Any, query: str, values: Sequence[Any]) -> int:
    """Return how many rows the planner expects of a query."""
    (plan,) = await connection.fetchval(f"EXPLAIN (FORMAT JSON) SELECT * FROM (\n{query}\n) AS {ROW}", *values)
    return int(plan["Plan"]["Plan Rows"])


async def _kind(connection: Any, table: TableName) -> bytes | None:
    kind: bytes | None = await connection.fetchval(
        "SELECT relkind FROM pg_class WHERE oid = to_regclass($1)", table.sql
    )
    return kind
