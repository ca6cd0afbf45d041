"""Recognises sealed values, and masks them where people and programs are shown what is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PREFIX = "loom-sealed.1."
"""Begins every sealed value; the number is the version of what follows."""
MASK = "***"
"""Stands in the place of a value that is not shown."""

_TOKEN = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]*")


def is_sealed(value: object) -> bool:
    """Tell whether a value looks like a sealed one."""
    return type(value) is str and value.startswith(PREFIX)


def masked_text(text: str) -> str:
    """Return a text with `***` for every sealed value in it."""
    return _TOKEN.sub(MASK, text) if PREFIX in text else text


def masked(value: Any) -> Any:
    """Return a value of JSON with `***` for every sealed value in it."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {name: masked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    return value


def holds_sealed(value: Any) -> bool:
    """Tell whether a value of JSON holds a sealed one."""
    if isinstance(value, str):
        return PREFIX in value
    if isinstance(value, Mapping):
        return any(map(holds_sealed, value.values()))
    return isinstance(value, list | tuple) and any(map(holds_sealed, value))
