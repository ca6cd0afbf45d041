"""Reads durations as a pipeline file has them: `250ms`, `30s`, `15m`, `12h`, `7d`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)$")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_DAYS = 36_500
"""A moment that is so far from now still has a date."""


def seconds(text: str) -> float:
    """Return the seconds of a duration."""
    match = _DURATION.match(text)
    assert match is not None, text
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def _readable(value: str) -> str:
    if not _DURATION.match(value):
        raise PydanticCustomError("duration", "a number and a unit: 30s, 15m, 12h or 7d")
    if seconds(value) > _MOST_DAYS * _UNIT_SECONDS["d"]:
        raise PydanticCustomError("duration", f"at most {_MOST_DAYS}d")
    return value


def _positive(value: str) -> str:
    if not seconds(value):
        raise PydanticCustomError("duration", "more than no time at all")
    return value


Duration = Annotated[str, AfterValidator(_readable)]
Limit = Annotated[str, AfterValidator(_readable), AfterValidator(_positive)]
"""A duration that limits something and is above zero."""
