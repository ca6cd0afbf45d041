"""Results on stdout: tables that fit a terminal of 100 columns, or one JSON document. Notices on stderr."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 100
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A key of the rows, and how it is shown."""

    key: str
    title: str
    words: Callable[[Any], str] = str
    number: bool = False
    """Whether it stands to the right."""
    cut: bool = False
    """Whether it gives way where the terminal is narrow."""


def _escaped() -> bool:
    """Whether stdout cannot hold any text."""
    return not (sys.stdout.encoding or "").lower().startswith("utf")


def console() -> Console:
    """Stdout, as wide as the terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    return Console(file=sys.stdout, highlight=False, width=width)


def document(value: Any) -> None:
    """The one document of `--format json`."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=_escaped(), default=_plain) + "\n")


def line(value: Any) -> None:
    """A document that others follow, on a line of its own."""
    sys.stdout.write(json.dumps(value, ensure_ascii=_escaped(), default=_plain) + "\n")
    sys.stdout.flush()


def say(words: str) -> None:
    """A notice on stderr."""
    sys.stderr.write(words + "\n")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    """Rows under their titles; a value that is not there is a dash. Columns marked `cut` share what room is left."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        shown.add_column(
            column.title,
            justify="right" if column.number else "left",
            no_wrap=not column.cut,  # what may be wrapped is what rich makes narrower
        )
    for row in rows:
        cells = (_cell(row.get(column.key), column) for column in columns)
        shown.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    return shown


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], empty: str) -> None:
    """A table on stdout; `empty` is said on stderr where there are no rows."""
    if rows:
        console().print(table(rows, columns))
    else:
        say(empty)


def _cell(value: Any, column: Column) -> str:
    return NOTHING if value is None or value == "" else " ".join(column.words(value).split())


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
