"""Writes workflow commands, which GitHub shows as annotations at lines of files."""

from __future__ import annotations

from typing import Literal


def annotation(
    message: str,
    *,
    level: Literal["error", "warning"] = "error",
    file: str | None = None,
    line: int | None = None,
    column: int | None = None,
    title: str | None = None,
) -> str:
    """Return one line that annotates a place, with what could end the line, or begin another command, escaped."""
    places = {"file": file, "line": line, "col": column, "title": title}
    said = ",".join(f"{name}={_property(str(value))}" for name, value in places.items() if value is not None)
    return f"::{level}{' ' if said else ''}{said}::{_data(message)}"


def _data(text: str) -> str:
    """Escape the text of a workflow command as GitHub's toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
