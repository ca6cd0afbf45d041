"""Decides when to send a request again after transient trouble. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

_WHEN_LIMITED = 3
"""Times the attempts where it is only the rate that is refused."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Computes doubling, jittered delays. Seconds."""

    attempts: int = 3
    first_delay: float = 1.0
    ceiling: float = 60.0


def delay_after(failed: int, policy: RetryPolicy, retry_after: float | None, jitter: float) -> float | None:
    """Return the seconds to wait after the `failed`-th attempt (1-based) failed; None to give up.

    `jitter` in [0, 1) spreads callers that failed together. What the endpoint asked for (`retry_after`) is never
    undercut; where it asks for more than the ceiling, waiting is left to the message's own retry."""
    if failed >= policy.attempts:
        return None
    backoff = min(policy.ceiling, policy.first_delay * 2.0 ** (failed - 1)) * (0.5 + jitter / 2)
    if retry_after is None:
        return backoff
    if retry_after > policy.ceiling:
        return None
    return max(backoff, retry_after + jitter * policy.first_delay)


def delay_when_limited(refused: int, policy: RetryPolicy, retry_after: float | None, jitter: float) -> float | None:
    """Return the same after the `refused`-th 429 (1-based): an endpoint that is well and asks to wait is asked more
    often, and where it says how long, it is taken at its word."""
    patient = replace(policy, attempts=_WHEN_LIMITED * policy.attempts)
    if retry_after is None or retry_after > policy.ceiling or refused >= patient.attempts:
        return delay_after(refused, patient, retry_after, jitter)
    least = min(policy.ceiling, policy.first_delay * 2.0 ** (refused - _WHEN_LIMITED))
    return max(least, retry_after) * (1 + jitter / 2)


def retry_after_of(headers: Mapping[str, str], now: dt.datetime) -> float | None:
    """Return the seconds that a response asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as a date (RFC
    9110)."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    text = headers.get("Retry-After")
    if (seconds := _number(text)) is not None:
        return seconds
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return max(0.0, (aware - now).total_seconds())


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
