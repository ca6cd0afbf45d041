"""Computes how long a simulated model takes to answer."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

_P99 = 2.326
"""The 99th percentile of a standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Represents a log-normal distribution of seconds, which the latencies of real endpoints are close to."""

    median: float = 0.0
    p99: float | None = None
    """The 99th percentile in seconds; None where every answer takes the median."""

    def draw(self, chance: random.Random) -> float:
        """Draw the seconds of one answer."""
        if self.p99 is None or not self.median:
            return self.median
        spread = math.log(max(self.p99 / self.median, 1.0)) / _P99
        return self.median * math.exp(chance.gauss(0.0, spread))
