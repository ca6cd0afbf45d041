"""Tells values that JSON gives back as they are."""

from __future__ import annotations

from math import isfinite
from typing import Any

_DEEPEST = 20


def is_exactly_json(value: Any, levels: int = _DEEPEST) -> bool:
    """Tell whether reading what is written of a value as JSON gives an equal one. It is False for one that is nested in
    more than so many `levels`."""
    kind = type(value)
    if kind is str:
        return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    if kind is float:
        return isfinite(value)
    if kind is dict and levels:
        return all(type(name) is str and is_exactly_json(name) for name in value) and all(
            is_exactly_json(each, levels - 1) for each in value.values()
        )
    if kind is list and levels:
        return all(is_exactly_json(each, levels - 1) for each in value)
    return value is None or kind is int or kind is bool
