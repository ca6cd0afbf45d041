"""Prints a result as a table or as JSON."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """Lists the values of `--format`."""

    TABLE = "table"
    JSON = "json"
