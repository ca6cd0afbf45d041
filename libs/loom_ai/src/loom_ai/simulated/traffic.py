"""Counts requests in windows of sixty seconds."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0


class Traffic:
    """Keeps a sliding window over the arrival times of requests."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque()
        self.most = 0
        """The most requests in any window so far."""

    @property
    def arrivals(self) -> list[float]:
        """Return the arrival times in the current window, in seconds of the clock given to `arrived`."""
        return list(self._arrivals)

    def arrived(self, now: float) -> int:
        """Count a request that arrived at `now` (seconds). Returns the requests in the window that ends then."""
        self._arrivals.append(now)
        while self._arrivals[0] <= now - WINDOW_SECONDS:
            self._arrivals.popleft()
        self.most = max(self.most, len(self._arrivals))
        return len(self._arrivals)
