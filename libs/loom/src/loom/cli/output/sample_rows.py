"""Shows the first rows that a sample loaded, in its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from loom.cli.output import terminal
from loom_common.console.tables import Column, RowTable

_MOST_COLUMNS = 8


def table(rows: Sequence[Mapping[str, Any]], loaded: int) -> RenderableType:
    """Draw one line per row; long values are cut, and so are columns beyond the eighth. JSON has them all."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = names[:_MOST_COLUMNS]
    title = f"Rows ({len(rows)} of {terminal.count(loaded)} loaded)"
    if len(names) > len(shown):
        title += f"; the first {len(shown)} of {len(names)} columns"
    return Group(
        Text(title, style="bold"),
        RowTable([dict.fromkeys(names) | dict(row) for row in rows], [Column(name, name) for name in shown]),
    )
