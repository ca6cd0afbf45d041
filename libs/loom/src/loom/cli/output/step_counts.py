"""Shows what each step of a transform came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from loom.cli.output import terminal
from loom_common.contracts.v1 import StepCount


def table(steps: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return a table of the steps: what each saw, and what it took and cost."""
    shown = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    shown.add_column("Step", min_width=11)
    shown.add_column("type")
    for title in ("records", "each", "calls", "cost"):
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("")
    for step in steps:
        asked = step["calls_made"] + step["calls_from_cache"]
        each = terminal.latency(step["seconds"] / step["seen"]) if step["seen"] else "-"
        shown.add_row(
            Text(step["name"]),
            step["kind"],
            terminal.count(step["seen"]),
            each,
            terminal.count(step["calls_made"]) if asked else "-",
            terminal.money(step["cost"]) if asked else "-",
            Text(", ".join(_besides(step)), style="dim"),
        )
    return shown


def of_estimate(steps: Sequence[StepCount]) -> RenderableType:
    """Return a table of what each step would see, and what its calls would cost."""
    shown = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    shown.add_column("Step", min_width=11)
    for title in ("records", "calls", "cost"):
        shown.add_column(title, justify="right", no_wrap=True)
    for step in steps:
        asks = bool(step.calls_made)
        shown.add_row(
            Text(step.name),
            terminal.count(step.seen),
            terminal.count(step.calls_made) if asks else "-",
            terminal.money(step.cost) if asks else "-",
        )
    return shown


def _besides(step: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what else there is to tell of a step."""
    for name in ("derived", "filtered", "failed"):
        if step[name]:
            yield f"{step[name]:,} {name}"
    if step["passed"]:
        yield f"{step['passed']:,} passed by"
    for branch, number in step["branches"].items():
        yield f"{branch} {number:,}"
