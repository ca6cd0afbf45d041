"""Draws how a run's cost grew towards its budget, and how long models took to answer meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loom_api.console.charts.budgets import with_budgets
from loom_api.console.charts.columns import columns
from loom_coordinator.queries.costs.over_run import Moment


def drawn(moments: Sequence[Moment], budget: float | None) -> dict[str, Any]:
    """Return the columns of both charts, and the height of the budget's line; None where it is not drawn. Pure."""
    costs, lines = with_budgets([(_time(each), each.cost) for each in moments], [budget or 0.0] * len(moments))
    return {
        "cost": costs,
        "latency": columns([(_time(each), each.latency or 0.0) for each in moments]),
        "line": lines[0].y if lines else None,
    }


def _time(moment: Moment) -> str:
    return f"{moment.until:%H:%M:%S}"
