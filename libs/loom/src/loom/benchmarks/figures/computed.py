"""Computes the figures of predictions and labels, each with its interval. Pure: equal values give equal figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.json_values.shown import Shown
from loom_common.statistics import bootstrap
from loom_common.statistics.agreement import cohens_kappa
from loom_common.statistics.classification import Confusion
from loom_common.statistics.intervals import Interval
from loom_common.statistics.numbers import mean, rank_correlation
from loom_common.statistics.reliability import (
    ReliabilityBin,
    bin_of,
    brier_score,
    error_of,
    expected_calibration_error,
    reliability,
)

NO_ANSWER = "(no answer)"
"""Is the class that is predicted for a record without an output, which no label has: it counts as wrong."""


@dataclass(frozen=True, slots=True)
class Figure(Shown):
    """Holds a figure with the ends of its interval of 95%."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @staticmethod
    def of(value: float | None, interval: Interval | None) -> Figure:
        """Return a figure with an interval, where there is one."""
        return Figure(value) if interval is None or value is None else Figure(value, interval.low, interval.high)


@dataclass(frozen=True, slots=True)
class OfClass(Shown):
    """Holds the figures of one class."""

    label: str
    precision: Figure
    recall: Figure
    f1: Figure
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class ClassFigures(Shown):
    """Holds what predicted classes come to."""

    accuracy: Figure
    macro_f1: Figure
    kappa: Figure
    """Cohen's kappa of predictions and labels: their agreement beyond chance."""
    classes: Sequence[OfClass]
    columns: Sequence[str]
    """Names the rows and columns of the confusion matrix."""
    confusion: Sequence[Sequence[int]]
    """Counts records: a row for each true class, a column for each predicted one."""


@dataclass(frozen=True, slots=True)
class NumberFigures(Shown):
    """Holds what predicted numbers come to, over the records that have one."""

    records: int
    mae: Figure
    rank_correlation: Figure


@dataclass(frozen=True, slots=True)
class ConfidenceFigures(Shown):
    """Holds whether stated confidences hold."""

    records: int
    mean_confidence: float
    accuracy: float
    """The share of these records whose prediction is right."""
    ece: Figure
    brier: Figure
    bins: Sequence[ReliabilityBin]

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "records": self.records,
            "mean_confidence": self.mean_confidence,
            "accuracy": self.accuracy,
            "ece": self.ece.as_json(),
            "brier": self.brier.as_json(),
            "bins": [
                {"low": each.low, "high": each.high, "records": each.records, "stated": each.stated, "true": each.true}
                for each in self.bins
            ],
        }


def of_classes(pairs: Sequence[tuple[str, str]], seed: int) -> ClassFigures:
    """Return the figures of pairs of a true and a predicted class."""
    matrix = Confusion.of(pairs)
    intervals = bootstrap.of_counts(matrix.counts, lambda counts: _values(Confusion(counts), matrix.classes), seed)
    found = {name: Figure.of(value, intervals.get(name)) for name, value in _values(matrix, matrix.classes).items()}
    return ClassFigures(
        accuracy=found["accuracy"],
        macro_f1=found["macro_f1"],
        kappa=found["kappa"],
        classes=[
            OfClass(
                name,
                found[f"precision {name}"],
                found[f"recall {name}"],
                found[f"f1 {name}"],
                matrix.figures(name).support,
                matrix.figures(name).predicted,
            )
            for name in matrix.classes
            if name != NO_ANSWER
        ],
        columns=matrix.classes,
        confusion=matrix.rows(),
    )


def _values(matrix: Confusion, classes: Sequence[str]) -> dict[str, float | None]:
    values = {"accuracy": matrix.accuracy, "macro_f1": matrix.macro_f1, "kappa": cohens_kappa(matrix)}
    for name in classes:
        figures = matrix.figures(name)
        values |= {
            f"precision {name}": figures.precision,
            f"recall {name}": figures.recall,
            f"f1 {name}": figures.f1,
        }
    return values


def of_numbers(pairs: Sequence[tuple[float, float]], seed: int) -> NumberFigures:
    """Return the figures of pairs of a true and a predicted number."""
    distances = [abs(true - said) for true, said in pairs]
    ranked = rank_correlation(*_columns(pairs)) if pairs else None
    return NumberFigures(
        records=len(pairs),
        mae=Figure.of(mean(distances), bootstrap.of_records(distances, mean, seed)),
        rank_correlation=Figure.of(
            ranked, bootstrap.of_records(pairs, lambda some: rank_correlation(*_columns(some)), seed)
        ),
    )


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [true for true, _ in pairs], [said for _, said in pairs]


def of_confidences(pairs: Sequence[tuple[float, bool]], seed: int) -> ConfidenceFigures | None:
    """Return the figures of pairs of a stated confidence and whether the prediction is right; None without records."""
    if not pairs:
        return None

    stated, right = _split(pairs)
    gaps = [(bin_of(probability), probability - outcome) for probability, outcome in pairs]
    squares = [(probability - outcome) ** 2 for probability, outcome in pairs]
    return ConfidenceFigures(
        records=len(pairs),
        mean_confidence=sum(stated) / len(stated),
        accuracy=sum(right) / len(right),
        ece=Figure.of(expected_calibration_error(stated, right), bootstrap.of_records(gaps, error_of, seed)),
        brier=Figure.of(brier_score(stated, right), bootstrap.of_records(squares, mean, seed)),
        bins=reliability(stated, right),
    )


def _split(pairs: Sequence[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [probability for probability, _ in pairs], [outcome for _, outcome in pairs]


def difference(first: Sequence[bool], other: Sequence[bool], seed: int) -> Figure:
    """Return by how much the accuracy of another candidate is above that of the first, on the same records. The
    interval is that of the paired difference."""
    counts: dict[tuple[bool, bool], int] = {}
    for pair in zip(first, other, strict=True):
        counts[pair] = counts.get(pair, 0) + 1

    def gained(some: Mapping[tuple[bool, bool], int]) -> dict[str, float | None]:
        total = sum(some.values())
        won, lost = some.get((False, True), 0), some.get((True, False), 0)
        return {"gained": (won - lost) / total if total else None}

    return Figure.of(gained(counts)["gained"], bootstrap.of_counts(counts, gained, seed).get("gained"))
