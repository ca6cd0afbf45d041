"""Reads what the rate-limit headers of a response ask for. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

_PAIRS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 120.0
"""The number of seconds. Who says more means a day's quota, and says so again with a 429."""


def pause_of(headers: Mapping[str, str], now: dt.datetime) -> float:
    """Return the seconds in which nothing more will be answered: until the reset of what is used up; 0 for none."""
    pauses = [_until(headers.get(reset), now) for left, reset in _PAIRS if headers.get(left) == "0"]
    return min(_LONGEST, max(pauses, default=0.0))


def _until(text: str | None, now: dt.datetime) -> float:
    """Read `6m0s`, `20ms`, `1.5` (seconds) or a date (RFC 3339)."""
    if not text:
        return 0.0
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - now).total_seconds())
