"""Defines a record's input with what a prompt sees beside it, apart from what compiles prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Shown(dict[str, Any]):
    """Holds a record's input, with what a prompt sees beside it."""

    def __init__(self, values: Mapping[str, Any], beside: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.beside = beside
