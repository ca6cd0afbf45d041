"""Draws how a run's cost grew towards its budget, and how long models took to answer meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loom_api.console.charts.columns import HEIGHT, columns
from loom_coordinator.queries.costs.over_run import Moment

_TOO_FAR = 4
"""Says how many times as high as the cost a budget may be to be drawn: else nothing would be seen below it."""


def drawn(moments: Sequence[Moment], budget: float | None) -> dict[str, Any]:
    """Return the columns of both charts, and the height of the budget's line; None where it is not drawn. Pure."""
    if not moments:
        return {"cost": [], "latency": [], "line": None}
    spent = moments[-1].cost
    shown = budget if budget is not None and spent > 0 and budget <= _TOO_FAR * spent else None
    most = max(spent, shown or 0.0)
    return {
        "cost": columns([(_time(each), each.cost) for each in moments], most),
        "latency": columns([(_time(each), each.latency or 0.0) for each in moments]),
        "line": None if shown is None else round(HEIGHT * (1 - shown / most), 2),
    }


def _time(moment: Moment) -> str:
    return f"{moment.until:%H:%M:%S}"
