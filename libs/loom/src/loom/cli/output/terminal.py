"""Two streams: results on stdout, everything else on stderr. Both survive a terminal that knows ASCII only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from loom.cli.output import stdout as output_stdout

WIDTH_WITHOUT_TERMINAL = 1_000_000
"""Columns of what goes into a file or a pipe: no line of it is broken or cut."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """Marks that a plain terminal has another way to write."""

    dot: str
    cut: str
    good: str
    bad: str
    doubtful: str


UNICODE = Symbols(dot="·", cut="…", good="✓", bad="✗", doubtful="!")
ASCII = Symbols(dot="-", cut="...", good="ok", bad="!!", doubtful="?")


class Trimmed:
    """Something to print whose lines end with their last letter: tables fill theirs up with blanks."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in console.render_lines(self._whole, options, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                yield from line[:-1]
                yield Segment(line[-1].text.rstrip(), line[-1].style)
            yield Segment.line()


def stdout() -> Console:
    """For results."""
    return _console(output_stdout.stream())


def stderr() -> Console:
    """For progress, notices and errors."""
    return _console(sys.stderr)


def symbols(console: Console) -> Symbols:
    """The marks this console can show."""
    return UNICODE if console.encoding.startswith("utf") else ASCII


def print_json(document: Any) -> None:
    """The one document of `--format json`: indented for people, times as ISO 8601."""
    stream = output_stdout.stream()
    stream.write(json.dumps(document, indent=2, ensure_ascii=not _holds_any_text(stream), default=str) + "\n")
    stream.flush()


def say(text: str) -> None:
    """A line on stderr, as it stands."""
    stderr().print(text, markup=False, highlight=False, soft_wrap=True)


def count(number: float | None) -> str:
    """1,234; `-` for none."""
    return "-" if number is None else f"{number:,.0f}"


def money(usd: float | None) -> str:
    """US dollars: $1.2345, and $12.34 from ten dollars on."""
    if usd is None:
        return "-"
    return f"${usd:,.2f}" if usd >= 10 else f"${usd:.4f}"


def duration(seconds: float | None) -> str:
    """0.4 s, 12.3 s, 4 min 05 s, 2 h 03 min."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def latency(seconds: float | None) -> str:
    """In milliseconds below a second."""
    if seconds is None:
        return "-"
    milliseconds = seconds * 1000
    return f"{seconds:.2f} s" if seconds >= 1 else f"{milliseconds:.{0 if milliseconds >= 10 else 2}f} ms"


def moment(value: Any) -> str:
    """A time as `2025-01-31 14:05:09` (UTC, as it is stored)."""
    return "-" if value is None else str(value)[:19].replace("T", " ")


def place(location: str) -> str:
    """A path as one would write it here: relative where it lies below the working directory."""
    here = Path.cwd()
    path = Path(location)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else location


def compact(value: Any) -> str:
    """A value on one line: JSON for what has parts, `-` for nothing."""
    if value is None or value == "":
        return "-"
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(str(value).split())


def _holds_any_text(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    console = Console(file=stream, highlight=False, width=width)
    if not console.encoding.startswith("utf") and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    return console
