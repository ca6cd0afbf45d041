"""Computes how fast a run goes: the rate of each stage, and when it will be done. Pure: progress in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass, field

from loom_common.contracts.v1 import RunProgress
from loom_common.flow import Stage

MEMORY = 5.0
"""The number of seconds after which an old rate counts for half or less: steady to look at, quick to follow a
change."""


@dataclass(slots=True)
class RunRates:
    """Holds rates in records per second, smoothed over the last seconds.

    `expected` is how many records the run will have, where that was known before it began."""

    expected: int | None = None
    progress: RunProgress | None = None
    _rates: dict[Stage, float] = field(default_factory=dict)

    def heard(self, progress: RunProgress) -> None:
        """Take in the next word on the run."""
        before, self.progress = self.progress, progress
        seconds = progress.elapsed - (before.elapsed if before else 0.0)
        if seconds <= 0:
            return
        weight = min(1.0, seconds / MEMORY) if before else 1.0
        for stage in progress.stages:
            rate = (_done(stage, progress) - (_done(stage, before) if before else 0)) / seconds
            self._rates[stage] = self._rates.get(stage, rate) * (1 - weight) + rate * weight

    def done(self, stage: Stage) -> int:
        """Records that this stage is through with."""
        return _done(stage, self.progress) if self.progress else 0

    def goal(self, stage: Stage) -> int | None:
        """Return the number of records that this stage will have been through with; None where that cannot be known.

        What was kept back by an earlier stage will not come; which stage it was, a tally does not say."""
        if self.progress is None:
            return None
        total = self.expected if self.progress.total is None else self.progress.total
        if total is None:
            return None
        tally = self.progress.tally
        kept = tally.quarantined + tally.skipped + (tally.rejected if stage is Stage.LOAD else 0)
        return max(self.done(stage), total if stage is Stage.EXTRACT else total - kept)

    def rate(self, stage: Stage) -> float | None:
        """Return the records per second; None before anything is known."""
        return self._rates.get(stage)

    def remaining(self, stage: Stage) -> float | None:
        """Return the seconds until this stage is through; None where that cannot be known, or it is."""
        rate, goal = self._rates.get(stage), self.goal(stage)
        if goal is None or not rate or rate < 0.01:
            return None
        left = goal - self.done(stage)
        return left / rate if left > 0 else None


def _done(stage: Stage, progress: RunProgress) -> int:
    worked = progress.stages.get(stage)
    return worked.records_out if worked else 0
