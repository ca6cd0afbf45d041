"""Reads the location of a source that is given its records over HTTP: `api://tickets`."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"api://(?P<name>[A-Za-z0-9_-]{1,100})", re.IGNORECASE)


def is_api_source(location: str) -> bool:
    """Tell whether records of a source are given to its pipeline over HTTP."""
    return location.lower().startswith("api://")


def inbox_in(location: str) -> str | None:
    """Return the name of the inbox in the location; None where it names none."""
    found = _WRITTEN.fullmatch(location)
    return None if found is None else found["name"]


def inbox_of(pipeline: str, location: str) -> str:
    """Return the name of a pipeline's inbox among those of all pipelines."""
    return f"{pipeline}/{inbox_in(location)}"
