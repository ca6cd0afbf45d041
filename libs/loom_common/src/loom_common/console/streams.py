"""Opens consoles and writes JSON documents on a stream: a terminal, a pipe or a file, in UTF-8 or in ASCII only."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment

from loom_common.domain.sealing.tokens import masked, masked_text

WIDTH_WITHOUT_TERMINAL = 1_000_000
"""The number of columns of what goes into a file or a pipe: no line of it is broken or cut."""


@dataclass(frozen=True, slots=True)
class Symbols:
    """Holds marks that a terminal with ASCII only has another way to write."""

    dot: str
    cut: str
    """Stands at the end of what was cut."""
    good: str
    bad: str
    doubtful: str


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNICODE = Symbols(dot="·", cut="…", good="✓", bad="✗", doubtful="!")
ASCII = Symbols(dot="-", cut="...", good="ok", bad="!!", doubtful="?")


def console_on(stream: TextIO) -> Console:
    """Open a console as wide as the terminal, or as COLUMNS says. What the stream's encoding lacks is replaced."""
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    console = Console(file=stream, highlight=False, emoji=False, width=width)
    console.push_render_hook(_Harmless())
    if not console.encoding.startswith("utf") and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
    return console


def harmless(text: str) -> str:
    """Return the text with a visible mark for each character that controls a terminal, but for tabs and line ends, and
    with `***` for every sealed value. Ids, errors and answers of models are foreign, and may hold any."""
    shown = masked_text(text)
    return _CONTROLS.sub(lambda found: chr(0x2400 + ord(found[0])) if found[0] < " " else "\ufffd", shown)


class Harmless:
    """Prints something so that no text in it controls the terminal."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._whole, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


class _Harmless(RenderHook):
    """Passes everything that a console prints through `Harmless`."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [Harmless(each) for each in renderables]


def symbols(console: Console) -> Symbols:
    """Return the marks that the console can show."""
    return UNICODE if console.encoding.startswith("utf") else ASCII


def write_json(document: Any, stream: TextIO, *, indent: int | None = 2) -> None:
    """Write one JSON document and a line break, indented for people unless `indent` is None. Times are ISO 8601, and
    sealed values `***`."""
    any_text = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    stream.write(json.dumps(masked(document), indent=indent, ensure_ascii=not any_text, default=_text) + "\n")
    stream.flush()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
