"""Numbers as people read them."""

from __future__ import annotations

import datetime as dt


def count(number: float) -> str:
    """1,234."""
    return f"{number:,.0f}"


def rate(per_second: float) -> str:
    """0, 0.3, 12, 1,234."""
    return f"{per_second:,.0f}" if per_second >= 10 or per_second == 0 else f"{per_second:.1f}"


def share(part: float) -> str:
    """87%."""
    return f"{part:.0%}"


def money(usd: float) -> str:
    """$1.2345, and $12.34 from ten dollars on."""
    return f"${usd:,.2f}" if usd >= 10 else f"${usd:.4f}"


def span(seconds: float) -> str:
    """35 ms, 0.4 s, 12.3 s, 4 min 05 s, 2 h 03 min, 3 d 04 h."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 24 else f"{hours // 24} d {hours % 24:02} h"


def size(number: int) -> str:
    """In MiB."""
    return f"{number / 2**20:,.0f} MiB"


def moment(when: dt.datetime) -> str:
    """UTC: 01-31 14:05:09, with its year where it is not this one."""
    known = when.astimezone(dt.UTC)
    return known.strftime("%m-%d %H:%M:%S" if known.year == dt.datetime.now(dt.UTC).year else "%Y-%m-%d %H:%M")
