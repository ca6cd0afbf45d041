"""Measures how far two raters agree beyond what chance explains."""

from __future__ import annotations

from loom_common.statistics.classification import Confusion


def cohens_kappa(matrix: Confusion) -> float | None:
    """Return Cohen's kappa of two raters whose verdicts the matrix counts: 1 for full agreement, 0 for what chance
    explains. None without records, and where both raters gave one and the same verdict throughout.

    Cohen, J. (1960): A coefficient of agreement for nominal scales."""
    total = matrix.total
    observed = matrix.accuracy
    if observed is None:
        return None
    by_chance = sum(
        (figures.support / total) * (figures.predicted / total) for figures in map(matrix.figures, matrix.classes)
    )
    if by_chance >= 1.0:
        return None
    return (observed - by_chance) / (1.0 - by_chance)
