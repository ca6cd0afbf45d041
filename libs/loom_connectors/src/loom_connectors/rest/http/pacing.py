"""Decides when the next request may be sent, by the configured rate and by what a server says of its own limit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from loom_common.http.retry import retry_after_of
from loom_common.ports.clock import Clock
from loom_common.resilience.pauses import pausing

LONGEST_PAUSE = 60.0
"""The longest pause, in seconds, that is made here. A longer one is left to the retry queues."""
_REMAINING = ("X-RateLimit-Remaining", "X-Rate-Limit-Remaining", "RateLimit-Remaining")
_RESET = ("X-RateLimit-Reset", "X-Rate-Limit-Reset", "RateLimit-Reset")
_A_TIME = 1_000_000_000
"""Is the least number that means a time, as seconds since 1970, and no duration."""
_IN_MILLISECONDS = 100_000_000_000


class Pace:
    """Says when the next request may be sent."""

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._apart = 1 / per_second if per_second else 0.0
        self._clock = clock
        self._next = clock.monotonic()

    async def turn(self) -> None:
        """Wait for the turn of a request."""
        now = self._clock.monotonic()
        at = max(now, self._next)
        self._next = at + self._apart
        if at > now:
            with pausing(at - now, "the server's limit, or `rate_limit`, allows no request earlier."):
                await self._clock.sleep(at - now)

    def heard(self, headers: Mapping[str, str]) -> None:
        """Take notice of an answer that says that no request is left."""
        if exhausted(headers) and (seconds := seconds_to_reset(headers, self._clock.now())) is not None:
            self._next = max(self._next, self._clock.monotonic() + min(seconds, LONGEST_PAUSE))


def exhausted(headers: Mapping[str, str]) -> bool:
    """Tell whether the headers of an answer say that no request is left."""
    return any(_number(headers.get(name)) == 0 for name in _REMAINING)


def pause_asked(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Return the seconds that a refused request shall wait, by `Retry-After` in any of its forms, else by the headers
    of the server's limit."""
    if (seconds := retry_after_of(headers, now)) is not None:
        return seconds
    return seconds_to_reset(headers, now) if exhausted(headers) else None


def seconds_to_reset(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Return the seconds until a limit is reset: the headers hold them, or a time since 1970 in seconds or
    milliseconds."""
    number = next((found for name in _RESET if (found := _number(headers.get(name))) is not None), None)
    if number is None or number < _A_TIME:
        return number
    return max(0.0, (number / 1000 if number > _IN_MILLISECONDS else number) - now.timestamp())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
