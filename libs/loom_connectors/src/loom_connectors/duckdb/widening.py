"""Says how columns of a DuckDB table are added and widened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from loom_connectors.duckdb.tables import TYPES
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.table_name import TableName

_SIGNED = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
_UNSIGNED = {"UTINYINT": 8, "USMALLINT": 16, "UINTEGER": 32, "UBIGINT": 64, "UHUGEINT": 128}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_MOST_DIGITS = 38


def wider(declared: str, needs: Needs) -> str | None:
    """Return the type that takes what the column holds and these values, too; None where `declared` takes them, or no
    type takes both as they are."""
    if declared in _SIGNED or declared in _UNSIGNED:
        return _wider_integer(declared, needs)
    if declared == "FLOAT":
        return "DOUBLE" if needs.floating and not needs.single else None
    if (found := _DECIMAL.fullmatch(declared)) is not None and needs.numbers:
        precision, scale = int(found[1]), int(found[2])
        before, after = max(precision - scale, needs.before), max(scale, needs.after)
        fits = (before, after) == (precision - scale, scale) or before + after > _MOST_DIGITS
        return None if fits else f"DECIMAL({before + after},{after})"
    return None


def _wider_integer(declared: str, needs: Needs) -> str | None:
    bits = _SIGNED.get(declared, _UNSIGNED.get(declared, 0))
    there = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if declared in _SIGNED else (0, 2**bits - 1)
    if needs.whole:
        if needs.within(*there):
            return None
        return "BIGINT" if needs.within_bits(64) and bits <= 32 else "BIGNUM"
    return "DOUBLE" if needs.floating and bits <= 32 else None


def statements(table: TableName, kinds: Mapping[str, Kind]) -> Iterator[str]:
    """Yield the statements that add the columns where they are missing."""
    for name, kind in kinds.items():
        yield f"ALTER TABLE {table.sql} ADD COLUMN IF NOT EXISTS {quoted(name)} {TYPES[kind]}"


def widening(table: TableName, declared: Mapping[str, str], needs: Mapping[str, Needs]) -> Iterator[str]:
    """Yield the statements that give each column which does not take its values a wider type. `FLOAT` goes by its text,
    so that 0.1 stays 0.1."""
    for name, each in needs.items():
        if name in declared and (to := wider(declared[name], each)) is not None:
            text = f" USING CAST(CAST({quoted(name)} AS VARCHAR) AS {to})" if declared[name] == "FLOAT" else ""
            yield f"ALTER TABLE {table.sql} ALTER COLUMN {quoted(name)} SET DATA TYPE {to}{text}"
