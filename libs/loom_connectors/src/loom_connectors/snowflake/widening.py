"""Says how columns of a Snowflake table are added and widened. Snowflake widens a text and the digits of a number
before its point, and changes no other type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from loom_connectors.snowflake.statements import quoted
from loom_connectors.snowflake.tables import TYPES
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName

_NUMBER = re.compile(r"NUMBER\((\d+),\s*(\d+)\)")
_VARCHAR = re.compile(r"VARCHAR\((\d+)\)")
_MOST_DIGITS = 38
_LONGEST = 16_777_216


def wider(declared: str, needs: Needs) -> str | None:
    """Return the type that takes what the column holds and these values, too; None where `declared` takes them, or no
    type takes both as they are."""
    if (found := _NUMBER.fullmatch(declared)) is not None and needs.numbers:
        precision, scale = int(found[1]), int(found[2])
        digits = needs.before + scale
        return f"NUMBER({digits},{scale})" if precision < digits <= _MOST_DIGITS and needs.after <= scale else None
    if (found := _VARCHAR.fullmatch(declared)) is not None and needs.texts:
        return f"VARCHAR({_LONGEST})" if int(found[1]) < needs.longest else None
    return None


def statements(table: TableName, kinds: Mapping[str, Kind]) -> Iterator[str]:
    """Yield the statements that add the columns where they are missing."""
    for name, kind in kinds.items():
        yield f"ALTER TABLE {table.quoted_by(quoted)} ADD COLUMN IF NOT EXISTS {quoted(name)} {TYPES[kind]}"


def widening(table: TableName, declared: Mapping[str, str], needs: Mapping[str, Needs]) -> Iterator[str]:
    """Yield the statements that give each column which does not take its values a wider type."""
    for name, each in needs.items():
        if name in declared and (to := wider(declared[name], each)) is not None:
            yield f"ALTER TABLE {table.quoted_by(quoted)} ALTER COLUMN {quoted(name)} SET DATA TYPE {to}"
