"""Checks texts of days and times: what a column of days and times would cut or round without a word is refused."""

from __future__ import annotations

import re
from typing import Any

from loom_connectors.values import UnfitValue

_DAY_AND_TIME = re.compile(r"\s*\d{4,}-\d\d-\d\d[T ]+(?!00:00(?::00(?:\.0*)?)?(?:Z|[+-][\d:]+)?(?: BC)?\s*$)\d")
"""A day with a time that is not midnight."""
_OFFSET = re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s*[+-](?!00(?::?00)?(?::?00)?(?: BC)?\s*$)\d")
"""A time with an offset that is not that of UTC."""
_FRACTION = re.compile(r":\d\d\.(\d*?)0*(?:\D|$)")
"""Holds the digits of a fraction of a second, without zeros at their end."""


def see_that_it_is_a_day(value: Any) -> None:
    """Raise `UnfitValue` for a time that a column of dates would cut off."""
    if isinstance(value, str) and len(value) > 10 and _DAY_AND_TIME.match(value):
        raise UnfitValue(f"the time of '{value[:40]}' would be lost in a column of dates.")


def see_that_its_seconds_fit(value: Any, digits: int) -> None:
    """Raise `UnfitValue` for a text with more digits of a second than `digits`."""
    if isinstance(value, str) and "." in value and (found := _FRACTION.search(value)) and len(found[1]) > digits:
        raise UnfitValue(f"'{value[:40]}' has more digits of a second than the column keeps ({digits}).")


def see_that_it_has_no_offset(value: Any) -> None:
    """Raise `UnfitValue` for an offset that a column without time zone would lose."""
    if isinstance(value, str) and _OFFSET.search(value):
        raise UnfitValue(f"the offset of '{value[:40]}' would be lost in a column without time zone.")
