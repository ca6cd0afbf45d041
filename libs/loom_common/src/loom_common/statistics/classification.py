"""Measures predicted classes against true ones: the confusion matrix, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Holds the figures of one class. A figure whose denominator is zero is None."""

    precision: float | None
    """The share of the records predicted to be of the class that are."""
    recall: float | None
    """The share of the records of the class that were predicted to be."""
    f1: float | None
    """The harmonic mean of the two; 0 where one of them is 0."""
    support: int
    """The number of records of the class."""
    predicted: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts records by their true and their predicted class."""

    counts: Mapping[tuple[str, str], int]
    """Holds the number of records by (true class, predicted class)."""

    @staticmethod
    def of(pairs: Iterable[tuple[str, str]]) -> Confusion:
        """Count pairs of a true and a predicted class."""
        return Confusion(Counter(pairs))

    @property
    def total(self) -> int:
        """Return the number of records."""
        return sum(self.counts.values())

    @property
    def classes(self) -> list[str]:
        """Return every class, true or predicted, in alphabetical order."""
        return sorted({name for pair in self.counts for name in pair})

    @property
    def accuracy(self) -> float | None:
        """Return the share of records whose predicted class is the true one; None without records."""
        total = self.total
        return sum(number for (true, said), number in self.counts.items() if true == said) / total if total else None

    def figures(self, name: str) -> ClassFigures:
        """Return the figures of one class."""
        hits = self.counts.get((name, name), 0)
        support = sum(number for (true, _), number in self.counts.items() if true == name)
        predicted = sum(number for (_, said), number in self.counts.items() if said == name)
        f1 = 2 * hits / (support + predicted) if support + predicted else None
        return ClassFigures(
            precision=hits / predicted if predicted else None,
            recall=hits / support if support else None,
            f1=f1,
            support=support,
            predicted=predicted,
        )

    @property
    def macro_f1(self) -> float | None:
        """Return the mean F1 of the classes that occur as true ones, each with the same weight; None without any."""
        found = [self.figures(name) for name in self.classes]
        of_classes = [each.f1 or 0.0 for each in found if each.support]
        return sum(of_classes) / len(of_classes) if of_classes else None

    def rows(self, classes: Sequence[str] | None = None) -> list[list[int]]:
        """Return the matrix: a row for each true class, a column for each predicted one."""
        names = self.classes if classes is None else classes
        return [[self.counts.get((true, said), 0) for said in names] for true in names]
