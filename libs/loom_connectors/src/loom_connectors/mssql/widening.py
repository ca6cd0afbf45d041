"""Says which type of SQL Server takes more than a column's does."""

from __future__ import annotations

import re

from loom_connectors.mssql.statements import quoted
from loom_connectors.mssql.tables import Column
from loom_connectors.sql.needs import Needs

_RANGES = {
    "tinyint": (0, 255),
    "smallint": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
}
_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d+),(\d+)\)")
_TEXT = re.compile(r"(n?varchar)\((\d+)\)")
_MOST_DIGITS = 38


def wider(declared: str, needs: Needs) -> str | None:
    """Return the type that takes what the column holds and these values, too; None where `declared` takes them, or no
    type takes both as they are."""
    if declared in _RANGES and needs.numbers:
        if needs.whole:
            if needs.within(*_RANGES[declared]):
                return None
            return "bigint" if needs.within_bits(64) else "decimal(38,0)" if needs.before <= _MOST_DIGITS else None
        return "float" if needs.floating and declared != "bigint" else None
    if (found := _DECIMAL.fullmatch(declared)) is not None and needs.numbers:
        precision, scale = int(found[1]), int(found[2])
        before, after = max(precision - scale, needs.before), max(scale, needs.after)
        fits = (before, after) == (precision - scale, scale)
        return None if fits or before + after > _MOST_DIGITS else f"decimal({before + after},{after})"
    if declared == "real" and needs.numbers:
        return "float" if needs.floating and not needs.single else None
    if (found := _TEXT.fullmatch(declared)) is not None and needs.texts:
        return f"{found[1]}(max)" if needs.longest > int(found[2]) else None
    return None


def altered(column: Column, to: str) -> str:
    """Return the end of the statement that gives the column another type, with what else is said of it."""
    collation = f" COLLATE {column.collation}" if column.collation else ""
    return f"ALTER COLUMN {quoted(column.name)} {to}{collation} {'NULL' if column.nullable else 'NOT NULL'}"
