"""Lists as tables for people: long values cut to the width of the terminal. A pipe, a file and JSON have them whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom_common.domain.values.plural import counted

GAP = 2
"""Blanks between columns."""
NARROWEST = 8
"""Characters that even the least column keeps."""


@dataclass(frozen=True, slots=True)
class Column:
    """A key of the rows, and how it is shown."""

    key: str
    title: str
    show: Callable[[Any], str] = terminal.compact
    number: bool = False
    """Whether it stands to the right."""
    keep: bool = False
    """Whether it is shown whole whatever the width: ids, which people copy."""


@dataclass(frozen=True, slots=True)
class Among:
    """What the rows are a part of, where there may be more of them."""

    total: int
    noun: str
    more: str
    """How to see the others."""


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], form: Format, empty: str, among: Among | None = None
) -> None:
    """Print rows on stdout; `empty` is said on stderr where there are none, and how many there are besides.

    In a file or a pipe nothing is cut: a program, or a person's `grep`, reads it."""
    if form is Format.JSON:
        terminal.print_json([dict(row) for row in rows])
    elif rows:
        _print_table(rows, columns)
    else:
        terminal.say(empty)
    if among is not None and 0 < len(rows) < among.total:
        verb = "is" if len(rows) == 1 else "are"
        terminal.say(f"{len(rows):,} of {counted(among.total, among.noun)} {verb} shown; {among.more}.")


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    console = terminal.stdout()
    head, *body = lay_out(rows, columns, console.width, terminal.symbols(console).cut)
    console.print(Text(head, style="bold"), soft_wrap=True)
    for line in body:
        console.print(Text(line), soft_wrap=True)


def lay_out(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], width: int, cut: str) -> list[str]:
    """The table as lines, the first with the titles. `cut` stands at the end of what was cut."""
    cells = [[column.show(row.get(column.key)) for column in columns] for row in rows]
    natural = [
        max(len(column.title), *(len(row[position]) for row in cells)) for position, column in enumerate(columns)
    ]
    widths = shared_out(natural, [column.keep for column in columns], width - GAP * (len(columns) - 1))
    return [_line(row, columns, widths, cut) for row in [[column.title for column in columns], *cells]]


def shared_out(natural: Sequence[int], keep: Sequence[bool], room: int) -> list[int]:
    """A width for each column: kept ones and short ones get what they need, the others share the rest."""
    widths = list(natural)
    left = room - sum(width for width, kept in zip(natural, keep, strict=True) if kept)
    hungry = sorted((position for position, kept in enumerate(keep) if not kept), key=lambda one: natural[one])
    while hungry:
        share = max(NARROWEST, left // len(hungry))
        position = hungry.pop(0)
        widths[position] = min(natural[position], share)
        left -= widths[position]
    return widths


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], cut: str) -> str:
    shown = []
    for text, column, width in zip(row, columns, widths, strict=True):
        whole = text if len(text) <= width else text[: width - len(cut)] + cut
        shown.append(whole.rjust(width) if column.number else whole.ljust(width))
    return (" " * GAP).join(shown).rstrip()
