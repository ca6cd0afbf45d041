"""Takes one field out of a secret that has several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_common.errors import ConfigurationError


def split_field(name: str) -> tuple[str, str | None]:
    """Return the name of a secret and the field that is asked of it: `prod/db` and `password` of
    `prod/db#password`."""
    secret, separator, field = name.rpartition("#")
    return (secret, field) if separator else (name, None)


def field_of(secret: Mapping[str, Any], field: str, place: str) -> str:
    """Return a field of a secret as text. Raises `ConfigurationError`, which names fields and never a value."""
    if field not in secret:
        there = ", ".join(sorted(secret)[:10]) or "none"
        raise ConfigurationError(f"{place} has no field '{field}'; its fields are: {there}.")
    value = secret[field]
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"The field '{field}' of {place} is no text and no number.")
    return str(value)
