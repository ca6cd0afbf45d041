"""Lists as tables for people: fixed columns, long values cut. JSON has them whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import JustifyMethod, OverflowMethod
from rich.table import Table
from rich.text import Text

from loom.cli import terminal
from loom.cli.forms import Format


@dataclass(frozen=True, slots=True)
class Column:
    """A key of the rows, and how it is shown."""

    key: str
    title: str
    show: Callable[[Any], str] = terminal.compact
    number: bool = False
    keep: bool = False
    """Whether it is shown whole whatever the width: ids, which people copy."""


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], form: Format, empty: str) -> None:
    """Print rows on stdout; `empty` is said on stderr where there are none."""
    if form is Format.JSON:
        terminal.print_json([dict(row) for row in rows])
        return
    if not rows:
        terminal.say(empty)
        return
    console = terminal.stdout()
    overflow: OverflowMethod = "ellipsis" if terminal.symbols(console) is terminal.UNICODE else "crop"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        whole = max(len(column.show(row.get(column.key))) for row in rows) if column.keep else None
        justify: JustifyMethod = "right" if column.number else "left"
        table.add_column(column.title, justify=justify, no_wrap=True, overflow=overflow, min_width=whole)
    for row in rows:
        table.add_row(*(Text(column.show(row.get(column.key))) for column in columns))
    console.print(table)
