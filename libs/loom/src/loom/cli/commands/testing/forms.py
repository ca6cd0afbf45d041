"""Defines the forms of the report of `loom test`."""

from __future__ import annotations

from enum import StrEnum


class ReportForm(StrEnum):
    """Lists the values of `--format`."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    GITHUB = "github"
