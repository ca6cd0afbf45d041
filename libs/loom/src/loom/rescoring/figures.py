"""Adds up what scoring again comes to, without holding the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.run.calls import Calls, summed


@dataclass(frozen=True, slots=True)
class EvaluatorFigures(Shown):
    """Compares the scores of one evaluator, on the records that it scored both times."""

    evaluator: str
    threshold: float | None
    records: int
    """The number of records that it scores now."""
    mean: float | None
    mean_before: float | None
    """The mean of the scores that the run gave those of them that it scored, too; None where it gave none."""
    passed: int | None
    """The number of records that reach the threshold; None where it has none."""


@dataclass(slots=True)
class _Sum:
    records: int = 0
    total: float = 0.0
    passed: int = 0
    records_before: int = 0
    total_before: float = 0.0


@dataclass(slots=True)
class Figures:
    """Adds up rows of records as they are judged."""

    config: EvaluateConfig
    calls: tuple[Calls, ...] = ()
    new: int = 0
    settled: dict[str, int] = field(default_factory=dict)
    _sums: dict[str, _Sum] = field(default_factory=dict)

    def add(self, rows: Sequence[Mapping[str, Any]], calls: Sequence[Calls]) -> None:
        """Add the records of a batch, and what judging them took."""
        self.calls = summed([*self.calls, *calls])
        thresholds = {each.name: each.threshold for each in self.config.evaluators}
        for row in rows:
            for name, score in (row["scores"] or {}).items():
                mine = self._sums.setdefault(name, _Sum())
                mine.records += 1
                mine.total += score
                limit = thresholds.get(name)
                mine.passed += limit is not None and score >= limit
                if (was := (row["scores_before"] or {}).get(name)) is not None:
                    mine.records_before += 1
                    mine.total_before += was

    def leave_out(self, settled: Mapping[str, int], new: int) -> None:
        """Count records that are not judged."""
        self.new += new
        for how, number in settled.items():
            self.settled[how] = self.settled.get(how, 0) + number

    def evaluators(self) -> list[EvaluatorFigures]:
        """Return the figures of each evaluator, in the order of the section."""
        found = []
        for each in self.config.evaluators:
            mine = self._sums.get(each.name, _Sum())
            found.append(
                EvaluatorFigures(
                    evaluator=each.name,
                    threshold=each.threshold,
                    records=mine.records,
                    mean=mine.total / mine.records if mine.records else None,
                    mean_before=mine.total_before / mine.records_before if mine.records_before else None,
                    passed=None if each.threshold is None else mine.passed,
                )
            )
        return found
