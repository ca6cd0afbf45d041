"""Defines the arguments and options that several commands share, each in one place. Imports nothing that is slow."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from loom_common.domain.values import durations


class Format(StrEnum):
    """Lists the values of `--format`."""

    TABLE = "table"
    JSON = "json"


Form = Annotated[
    Format, typer.Option("--format", help="`table` for people; `json` is one document on stdout, for programs.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id: `run_` and 12 letters or digits.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000_000_000, help="At most so many.")]

_DURATION = re.compile(r"^\d+(\.\d+)?[smhd]$")


def seconds(text: str) -> float:
    """Return the seconds of `90s`, `30m`, `2h` or `1d`. Raises `typer.BadParameter`."""
    if not _DURATION.match(text) or not (value := durations.seconds(text)):
        raise typer.BadParameter(f"'{text}' is no span of time. Expected a number and a unit: 90s, 30m, 2h or 1d.")
    return value
