"""Shows what the records of a run came to, and what each step of its transform did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from loom.cli.output import terminal

if TYPE_CHECKING:
    from loom_common.contracts.v1 import StepCount

_COUNTS = (
    "extracted",
    "derived",
    "unnested",
    "grouped",
    "filtered",
    "passed",
    "unscored",
    "rejected",
    "quarantined",
    "skipped",
    "cancelled",
    "staged",
    "loaded",
)
_ALWAYS = {"extracted", "passed", "rejected", "quarantined", "loaded"}
_NAMES = 11
_GAP = 3


class Records:
    """Shows how many records came to what, in as many lines of columns as the terminal needs."""

    def __init__(self, records: Mapping[str, int]) -> None:
        shown = [name for name in _COUNTS if name in _ALWAYS or records.get(name)]
        self._counts = {name: terminal.count(records.get(name, 0)) for name in shown}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        title = "Records"
        for names in self._lines(options.max_width):
            table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
            table.add_column(title, width=_NAMES)
            for name in names:
                table.add_column(name, justify="right", no_wrap=True)
            table.add_row("", *(self._counts[name] for name in names))
            yield table
            title = ""

    def _lines(self, width: int) -> list[list[str]]:
        """Return the names of the columns of each line."""
        lines: list[list[str]] = [[]]
        left = width - _NAMES - _GAP
        for name, count in self._counts.items():
            needed = max(len(name), len(count)) + _GAP
            if lines[-1] and needed - _GAP > left:
                lines.append([])
                left = width - _NAMES - _GAP
            lines[-1].append(name)
            left -= needed
        return lines


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
