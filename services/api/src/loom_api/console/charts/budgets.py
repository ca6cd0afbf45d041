"""Places the lines of budgets above columns of costs."""

from __future__ import annotations

from collections.abc import Sequence

from loom_api.console.charts.columns import HEIGHT, Column, columns

TOO_FAR = 4
"""Says how many times as high as the cost a budget may be to be drawn: else nothing would be seen below it."""


def with_budgets(
    costs: Sequence[tuple[str, float]], budgets: Sequence[float]
) -> tuple[Sequence[Column], Sequence[Column]]:
    """Return the columns of costs, and lines at the heights of the budgets, where there are some that are not too far
    above all costs. Pure."""
    most = max((cost for _, cost in costs), default=0.0)
    shown = [budget if 0 < budget <= TOO_FAR * most else 0.0 for budget in budgets]
    drawn = columns(costs, max(shown, default=0.0))
    highest = max(most, *shown, 0.0) or 1.0
    lines = [
        Column(each.x, round(HEIGHT * (1 - budget / highest), 2), each.width, 0.0, each.name, budget)
        for each, budget in zip(drawn, shown, strict=True)
        if budget
    ]
    return drawn, lines
