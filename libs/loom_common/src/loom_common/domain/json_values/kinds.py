"""Says in words what kind of value a JSON value is, for messages about one that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KINDS = {list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}


def kind_of(value: Any) -> str:
    """Return what a value is. The value itself, which may be sensitive, is not shown."""
    return "an object" if isinstance(value, Mapping) else _KINDS.get(type(value), "a value")
