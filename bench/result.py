"""Describes what one timed passage of the file gave."""

from __future__ import annotations

from dataclasses import dataclass, field


class BenchError(Exception):
    """The measurement is worth nothing: records are missing, a process ended, or time ran out."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Says how long it took, and what it used."""

    records: int
    seconds: float
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by process."""
    machine: float = float("nan")
    """CPU seconds of the whole machine meanwhile."""
    moving: float = float("nan")
    """The seconds that records were moved for, without what a run does before it reads the first and after it has
    loaded the last."""

    @property
    def rate(self) -> float:
        """Return the records a second."""
        return self.records / self.seconds

    @property
    def rate_while_moving(self) -> float:
        """Return the records a second while records were moved."""
        return self.records / self.moving

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all processes."""
        return sum(self.cpu.values())

    @property
    def elsewhere(self) -> float:
        """Return cores that other work on this machine took: above a tenth or so, the rate says little."""
        return (self.machine - self.cpu_seconds) / self.seconds
