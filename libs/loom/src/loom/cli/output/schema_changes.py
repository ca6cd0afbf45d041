"""Shows how schemas differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text


def rendered(drift: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return the changes of a run's records against the stored versions, a line for each."""
    lines = [
        Text(f"  {each['stage']}: {words(change)}", overflow="fold") for each in drift for change in each["changes"]
    ]
    return Group(Text("Schema", style="bold"), *lines)


def words(change: Mapping[str, Any]) -> str:
    """Return one change in words."""
    name, kind = change["column"], change["change"]
    match kind:
        case "added":
            return f"{name} is new: {change['after']}"
        case "removed":
            return f"{name} is missing; it was {change['before']}"
        case "renamed":
            return f"{name} is now called {change['now_called']} (a guess: both are {change['after']})"
        case "nullable":
            return f"{name} may be null now"
        case _:
            return f"{name} is {kind}: {change['after']} in place of {change['before']}"
