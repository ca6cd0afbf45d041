"""Limits how many requests a client makes, by a token bucket for each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_CLIENTS = 10_000
"""Clients that are remembered. Of more, those that asked longest ago are forgotten."""


class Rates:
    """Counts the requests of each client."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        """A client may make `per_minute` requests at once, and as many in each minute after; 0 for no limit."""
        self._per_minute = per_minute
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_of(self, client: str) -> float:
        """Count a request. Return the seconds until the client may make it; 0.0 where it may now."""
        if not self._per_minute:
            return 0.0
        now, rate = self._now(), self._per_minute / 60
        tokens, since = self._buckets.pop(client, (float(self._per_minute), now))
        tokens = min(self._per_minute, tokens + (now - since) * rate)
        may = tokens >= 1
        self._buckets[client] = (tokens - may, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if may else (1 - tokens) / rate
