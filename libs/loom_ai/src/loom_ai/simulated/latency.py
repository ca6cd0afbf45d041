"""How long a simulated model takes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

_P99 = 2.326
"""Standard deviations from the median to the 99th percentile of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Log-normal, as the latencies of real endpoints nearly are. Seconds."""

    median: float = 0.0
    p99: float | None = None
    """One answer in a hundred takes longer. None: all take the median."""

    def draw(self, chance: random.Random) -> float:
        """Of one answer."""
        if self.p99 is None or not self.median:
            return self.median
        spread = math.log(max(self.p99 / self.median, 1.0)) / _P99
        return self.median * math.exp(chance.gauss(0.0, spread))
