"""Defines the name of a time zone, as a definition writes it."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def _known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise PydanticCustomError("time_zone", "a time zone, e.g. UTC or Europe/Berlin") from error
    return name


ZoneName = Annotated[str, AfterValidator(_known)]
"""Names a time zone that the machine knows."""
