"""Database values as JSON values, the same whichever database they come from."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any


def as_json(value: Any) -> Any:
    """Dates and times as ISO 8601 text, decimals and UUIDs as text, bytes as `\\x` and hexadecimal digits."""
    match value:
        case str() | None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return f"P{value.days}DT{value.seconds + value.microseconds / 1_000_000:g}S"
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value).hex()
        case dict():
            return {str(key): as_json(each) for key, each in value.items()}
        case list() | tuple() | set():
            return [as_json(each) for each in value]
        case _ if hasattr(value, "items"):  # a composite value
            return {str(key): as_json(each) for key, each in value.items()}
        case _:
            return str(value)
