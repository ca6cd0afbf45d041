"""Formats numbers, times and values as people read them. Where there is none, most of these are `-`."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

NOTHING = "-"


def count(number: float | None) -> str:
    """Write a count, such as 1,234."""
    return NOTHING if number is None else f"{number:,.0f}"


def money(usd: float | None) -> str:
    """Write US dollars: $1.2345, $12.34 from ten dollars on, and two digits of what is less than $0.0001."""
    if usd is None:
        return NOTHING
    if 0 < usd < 0.0001:  # `$0.0000` would say that it cost nothing
        return f"${usd:.{1 - math.floor(math.log10(usd))}f}"
    return f"${usd:,.2f}" if usd >= 10 else f"${usd:.4f}"


def rate(per_second: float) -> str:
    """Write a rate, such as 0, 0.3, 12 or 1,234."""
    return f"{per_second:,.0f}" if per_second >= 10 or per_second == 0 else f"{per_second:.1f}"


def share(part: float) -> str:
    """Write a share, such as 87%."""
    return f"{part:.0%}"


def size(number: int) -> str:
    """Write bytes in MiB."""
    return f"{number / 2**20:,.0f} MiB"


def duration(seconds: float | None) -> str:
    """Write the length of a run: 0.4 s, 12.3 s, 4 min 05 s, 2 h 03 min, 26 h 03 min."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def span(seconds: float) -> str:
    """Write a length of time that may be milliseconds or days: 35 ms, 0.4 s, 4 min 05 s, 2 h 03 min, 3 d 04 h."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    hours = round(seconds) // 3600
    return duration(seconds) if hours < 24 else f"{hours // 24} d {hours % 24:02} h"


def latency(seconds: float | None) -> str:
    """Write how long an answer took: in milliseconds below a second."""
    if seconds is None:
        return NOTHING
    milliseconds = seconds * 1000
    return f"{seconds:.2f} s" if seconds >= 1 else f"{milliseconds:.{0 if milliseconds >= 10 else 2}f} ms"


def moment(value: dt.datetime | str | None) -> str:
    """Write a time, or its ISO 8601 text, as `2025-01-31 14:05:09`. It is in UTC where it was."""
    return NOTHING if value is None else str(value)[:19].replace("T", " ")


def short_moment(when: dt.datetime) -> str:
    """Write a time in UTC as `01-31 14:05:09`, and with its year where it is not this one."""
    known = when.astimezone(dt.UTC)
    return known.strftime("%m-%d %H:%M:%S" if known.year == dt.datetime.now(dt.UTC).year else "%Y-%m-%d %H:%M")


def compact(value: Any) -> str:
    """Write a value on one line: JSON for what has parts, and for true and false."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool | Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(str(value).split())


def yes_or_no(value: Any) -> str:
    """Answer the question that the title of a column asks."""
    return "yes" if value else "no"
