"""Places the columns of a chart over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 800
HEIGHT = 140


@dataclass(frozen=True, slots=True)
class Column:
    """Places a column, and says what it stands for."""

    x: float
    y: float
    width: float
    height: float
    name: str
    value: float


def columns(values: Sequence[tuple[str, float]], most: float = 0.0) -> Sequence[Column]:
    """Return a column for each name with its value, from left to right. One that is not 0 is never invisible. The
    chart is as high as the highest of them, or as `most` where that is more."""
    if not values:
        return []
    most = max(most, *(value for _, value in values)) or 1.0
    width = min(40.0, WIDTH / len(values))
    placed = []
    for place, (name, value) in enumerate(values):
        height = max(2.0, HEIGHT * value / most) if value > 0 else 0.0
        placed.append(
            Column(
                round(place * width, 2), round(HEIGHT - height, 2), round(width * 0.8, 2), round(height, 2), name, value
            )
        )
    return placed
