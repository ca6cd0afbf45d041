"""How many requests came in any sixty seconds."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0


class Traffic:
    """A sliding window over arrivals."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque()
        self.most = 0
        """In any window so far."""

    @property
    def arrivals(self) -> list[float]:
        """Seconds of the same clock at which those of the last window came."""
        return list(self._arrivals)

    def arrived(self, now: float) -> int:
        """One more, at `now` (seconds of one clock). Returns how many came in the window that ends with it."""
        self._arrivals.append(now)
        while self._arrivals[0] <= now - WINDOW_SECONDS:
            self._arrivals.popleft()
        self.most = max(self.most, len(self._arrivals))
        return len(self._arrivals)
