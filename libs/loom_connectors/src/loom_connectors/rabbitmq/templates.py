"""Fills in templates such as `sentiment.{{ label }}` with the values of a row."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_FIELD = re.compile(r"\{\{\s*(?P<path>[^{}]*?)\s*\}\}")


class Unfilled(Exception):  # this is no error of the program: it is what a row is kept back for
    """Reports a template that a row has no value for."""


def mistake_in(template: str) -> str | None:
    """Return what is wrong with a template; None where nothing is."""
    if any(not found["path"] for found in _FIELD.finditer(template)):
        return "a pair of braces that names no field"
    rest = _FIELD.sub("", template)
    return "braces that do not belong together" if "{{" in rest or "}}" in rest else None


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return the template with the values of a row. Raises `Unfilled`."""
    return _FIELD.sub(lambda found: _text(found["path"], values), template)


def _text(path: str, values: Mapping[str, Any]) -> str:
    value: Any = values
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if value is None:
        raise Unfilled(f"the row has no value for '{path}'")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
