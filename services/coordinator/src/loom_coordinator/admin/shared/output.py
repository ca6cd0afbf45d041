"""Prints results on stdout: tables for people, or JSON documents for programs. Notices on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from loom_common.console import streams
from loom_common.console.tables import Column, RowTable


def console() -> Console:
    """Open stdout, as wide as the terminal."""
    return streams.console_on(sys.stdout)


def document(value: Any) -> None:
    """Print the one document of `--format json`."""
    streams.write_json(value, sys.stdout)


def line(value: Any) -> None:
    """Print a document that others follow, on a line of its own."""
    streams.write_json(value, sys.stdout, indent=None)


def say(words: str) -> None:
    """Print a notice on stderr."""
    sys.stderr.write(words + "\n")


def print_rows(rows: Sequence[object], columns: Sequence[Column], empty: str) -> None:
    """Print a table; `empty` is said on stderr where there are no rows. In a file or a pipe nothing is cut."""
    if rows:
        console().print(RowTable(rows, columns), soft_wrap=True)
    else:
        say(empty)
