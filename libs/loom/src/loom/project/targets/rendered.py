"""Holds what `rendering` makes of a definition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loom_common.errors import Problem

KeyPath = tuple[str | int, ...]


@dataclass(slots=True)
class Rendered:
    """Holds a definition that is rendered for a target."""

    definition: dict[str, Any]
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    """The key of `loom.yaml` that says what stands at a key of the definition."""
    problems: list[Problem] = field(default_factory=list)
    """What the target says and this pipeline has no place for, with the key of `loom.yaml`."""
