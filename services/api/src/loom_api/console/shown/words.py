"""Writes times, shares and values as the pages show them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from loom_common.console.numbers import NOTHING, money
from loom_common.domain.json_values.shown import as_json
from loom_common.domain.values.urls import redacted

GLYPHS = {
    "queued": "…",
    "running": "▶",
    "paused": "‖",
    "interrupted": "!",
    "succeeded": "✓",
    "partial": "◐",
    "failed": "✕",
    "cancelled": "⊘",
    "up": "✓",
    "draining": "‖",
    "lost": "✕",
}
"""Holds the sign that stands before a status, so that colour does not tell it alone."""


def _utc(moment: dt.datetime | str) -> dt.datetime:
    when = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return when.replace(tzinfo=dt.UTC) if when.tzinfo is None else when.astimezone(dt.UTC)


def clock(moment: dt.datetime | str) -> str:
    """Write a time, or its ISO 8601 text, as `2026-01-31 14:05:09 UTC`."""
    return f"{_utc(moment):%Y-%m-%d %H:%M:%S} UTC"


def ago(moment: dt.datetime | str, now: dt.datetime) -> str:
    """Write how long ago a time was, as `3 min ago`; `in 3 min` for one to come."""
    seconds = (now - _utc(moment)).total_seconds()
    said = _about(abs(seconds))
    if said is None:
        return "just now"
    return f"{said} ago" if seconds > 0 else f"in {said}"


def _about(seconds: float) -> str | None:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (5, "s")):
        if seconds >= length:
            return f"{seconds // (length if unit != 's' else 1):.0f} {unit}"
    return None


def percent(share: float | None) -> str:
    """Write a share, such as 61.7%."""
    return NOTHING if share is None else f"{share:.1%}"


def price(usd: float | None) -> str:
    """Write US dollars with enough digits for what a single call costs."""
    return f"${usd:.2g}" if usd is not None and 0.0001 <= usd < 0.001 else money(usd)


def score(value: float | None) -> str:
    """Write a score with three digits."""
    return NOTHING if value is None else f"{value:.3f}"


def size(number: int | None) -> str:
    """Write bytes in MiB."""
    return NOTHING if number is None else f"{number / 2**20:,.0f} MiB"


def pretty(value: Any) -> str:
    """Write a value of JSON on several lines; a text as it is."""
    if isinstance(value, str):
        return value
    return json.dumps(as_json(value), indent=2, ensure_ascii=False, default=str)


def destination(location: str | None) -> str:
    """Write where rows go, or come from, without user, password and tokens."""
    return NOTHING if not location else redacted(location)
