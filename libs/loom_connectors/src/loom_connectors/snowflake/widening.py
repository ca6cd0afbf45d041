"""Says which type of Snowflake takes more than a column's does. Snowflake widens a text and the digits of a number
before its point, and changes no other type."""

from __future__ import annotations

import re

from loom_connectors.sql.needs import Needs

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
