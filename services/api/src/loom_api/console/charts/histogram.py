"""Places the bars of a histogram of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loom_coordinator.queries.scores.histograms import STEPS, ScoreHistogram

WIDTH = 500
HEIGHT = 80
BARS = 50
_STEPS_IN_A_BAR = STEPS // BARS


@dataclass(frozen=True, slots=True)
class Bar:
    """Places a bar, in units of the chart, of which `WIDTH` are a score of 1."""

    x: float
    y: float
    width: float
    height: float
    start: float
    """The score from which on it counts."""
    records: int


@dataclass(frozen=True, slots=True)
class ScorePlot:
    """Shows the scores of one evaluator with its threshold."""

    histogram: ScoreHistogram
    threshold: float | None

    @property
    def bars(self) -> Sequence[Bar]:
        """Return the bars; the last stands for scores of 1 alone. One that counts something is never invisible."""
        counts = self.histogram.counts
        sums = [sum(counts[place : place + _STEPS_IN_A_BAR]) for place in range(0, STEPS, _STEPS_IN_A_BAR)]
        sums.append(counts[STEPS])
        most = max(sums)
        width = WIDTH / BARS
        heights = [max(2.0, HEIGHT * each / most) if each else 0.0 for each in sums]
        return [
            Bar(round(place * width, 2), round(HEIGHT - height, 2), width - 1, round(height, 2), place / BARS, records)
            for place, (height, records) in enumerate(zip(heights, sums, strict=True))
        ]

    @property
    def at(self) -> float:
        """Return where the slider stands at first."""
        return 0.5 if self.threshold is None else min(1.0, max(0.0, self.threshold))

    @property
    def reached(self) -> int:
        """Return the number of records whose score is at least that."""
        return sum(self.histogram.counts[round(self.at * STEPS) :])
