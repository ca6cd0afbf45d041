"""Separates two streams: results go to stdout, and everything else goes to stderr. Both survive a terminal that knows
ASCII only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from loom.cli.output import stdout as output_stdout
from loom_common.console import streams
from loom_common.console.numbers import compact, count, duration, latency, moment, money
from loom_common.console.streams import symbols
from loom_common.service import standard_streams

__all__ = [
    "Trimmed", "compact", "count", "duration", "latency", "moment", "money", "place", "print_json", "say", "stderr",
    "stdout", "symbols",
]  # fmt: skip


class Trimmed:
    """Prints something so that no line ends with the blanks by which tables fill theirs up."""

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
    """Open the console for results."""
    return streams.console_on(output_stdout.stream())


def stderr() -> Console:
    """For progress, notices and errors."""
    return streams.console_on(standard_streams.stderr())


def print_json(document: Any) -> None:
    """Print the one document of `--format json`: indented for people, times as ISO 8601."""
    streams.write_json(document, output_stdout.stream())


def say(text: str) -> None:
    """Print a line on stderr."""
    stderr().print(text, markup=False, highlight=False, soft_wrap=True)


def place(location: str) -> str:
    """Write a path as one would write it here: relative where it lies below the working directory."""
    here = Path.cwd()
    path = Path(location)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else location
