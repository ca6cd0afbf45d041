"""Lists on stdout: a table for people, or one JSON document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom_common.console.tables import Column, RowTable
from loom_common.domain.json_values.shown import as_json
from loom_common.domain.values.plural import counted

__all__ = ["Among", "Column", "print_rows"]


@dataclass(frozen=True, slots=True)
class Among:
    """Tells what the rows are a part of, where there may be more of them."""

    total: int
    noun: str
    more: str
    """Says how to see the others."""


def print_rows(
    rows: Sequence[object], columns: Sequence[Column], form: Format, empty: str, among: Among | None = None
) -> None:
    """Print rows on stdout; `empty` is said on stderr where there are none, and how many there are besides.

    In a file or a pipe nothing is cut: a program, or a person's `grep`, reads it."""
    if form is Format.JSON:
        terminal.print_json([as_json(row) for row in rows])
    elif rows:
        terminal.stdout().print(RowTable(rows, columns), soft_wrap=True)
    else:
        terminal.say(empty)
    if among is not None and 0 < len(rows) < among.total:
        verb = "is" if len(rows) == 1 else "are"
        terminal.say(f"{len(rows):,} of {counted(among.total, among.noun)} {verb} shown; {among.more}.")
