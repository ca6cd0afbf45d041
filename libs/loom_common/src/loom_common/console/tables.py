"""Draws rows as a table whose long values are cut to the width of the terminal. A pipe and a file have them whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from loom_common.console.numbers import NOTHING, compact
from loom_common.console.streams import symbols

GAP = 2
"""Says how many blanks stand between two columns."""
NARROWEST = 8
"""The number of characters that even the narrowest column has."""


@dataclass(frozen=True, slots=True)
class Column:
    """Describes a field of the rows, and how it is shown. A value that is missing is a dash."""

    key: str
    """The name of an attribute, or the key of rows that are mappings."""
    title: str
    show: Callable[[Any], str] = compact
    number: bool = False
    """Tells whether it stands to the right."""
    keep: bool = False
    """Tells whether it is shown whole whatever the width, as ids are, which people copy."""
    optional: bool = False
    """Tells whether it is left out of a terminal that is too narrow for all columns. The last such column goes
    first."""


class RowTable:
    """Shows rows under bold titles on a rich console, alone or as a part of something larger."""

    def __init__(self, rows: Sequence[object], columns: Sequence[Column]) -> None:
        self._rows = rows
        self._columns = columns

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = lay_out(self._rows, self._columns, options.max_width, symbols(console).cut)
        if options.overflow != "ignore":  # the console would cut a line that is too long, and leave the blanks of a gap
            lines = [set_cell_size(line, min(cell_len(line), options.max_width)).rstrip() for line in lines]
        head, *body = lines
        yield Text(head, style="bold", no_wrap=True, overflow="ignore")
        yield from (Text(line, no_wrap=True, overflow="ignore") for line in body)


def lay_out(rows: Sequence[object], columns: Sequence[Column], width: int, cut: str) -> list[str]:
    """Lay out the table as lines of at most `width` cells, unless the columns that are kept whole need more. The first
    line has the titles; `cut` stands at the end of what was cut."""
    columns = _fitting(rows, columns, width)
    cells = [list(_cells(row, columns)) for row in rows]
    natural = _natural_widths(cells, columns)
    widths = shared_out(natural, [column.keep for column in columns], width - GAP * (len(columns) - 1))
    return [_line(row, columns, widths, cut) for row in [[column.title for column in columns], *cells]]


def shared_out(natural: Sequence[int], keep: Sequence[bool], available: int) -> list[int]:
    """Share out a width for each column: kept ones and short ones get what they need, the others share the rest."""
    widths = list(natural)
    left = available - sum(width for width, kept in zip(natural, keep, strict=True) if kept)
    waiting = sorted((position for position, kept in enumerate(keep) if not kept), key=lambda one: natural[one])
    while waiting:
        share = max(NARROWEST, left // len(waiting))
        position = waiting.pop(0)
        widths[position] = min(natural[position], share)
        left -= widths[position]
    return widths


def _natural_widths(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[int]:
    """Return the width of each column where nothing is cut."""
    return [
        max(cell_len(column.title), *(cell_len(row[position]) for row in cells), 0)
        for position, column in enumerate(columns)
    ]


def _fitting(rows: Sequence[object], columns: Sequence[Column], width: int) -> Sequence[Column]:
    """Return the columns without as many optional ones as the width has no place for."""
    natural = _natural_widths([list(_cells(row, columns)) for row in rows], columns)
    needed = {
        column.key: GAP + (whole if column.keep else min(whole, NARROWEST))
        for column, whole in zip(columns, natural, strict=True)
    }
    shown = list(columns)
    for column in reversed(columns):
        if sum(needed[each.key] for each in shown) - GAP <= width:
            break
        if column.optional:
            shown.remove(column)
    return shown


def _cells(row: object, columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        value = row.get(column.key) if isinstance(row, Mapping) else getattr(row, column.key)
        yield NOTHING if value is None or value == "" else " ".join(column.show(value).split())


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], cut: str) -> str:
    shown = []
    for text, column, width in zip(row, columns, widths, strict=True):
        whole = text if cell_len(text) <= width else set_cell_size(text, width - cell_len(cut)) + cut
        blanks = " " * (width - cell_len(whole))
        shown.append(blanks + whole if column.number else whole + blanks)
    return (" " * GAP).join(shown).rstrip()
