"""Lists the values that a parameter takes from one day, or time, to another. It does no I/O."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator
from enum import StrEnum
from itertools import takewhile

MOST = 10_000
"""The number of partitions that one backfill may have."""


class Every(StrEnum):
    """Lists how far apart partitions begin."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def partitions(start: str, until: str, every: Every, kind: str) -> list[str]:
    """Return the values from `start` to `until`, both included, as a parameter of the type `kind` is given them. Raises
    `ValueError`, which says what is wrong, in words that follow the option's name."""
    if kind not in ("date", "datetime", "string"):
        raise ValueError(f"the parameter is of type {kind}; a range needs one of type date, datetime or string")
    if kind == "date" and every is Every.HOUR:
        raise ValueError("hours need a parameter of type datetime or string")
    first, last = _moment(start), _moment(until)
    if every is Every.HOUR and _is_day(until):
        last += dt.timedelta(hours=23)
    if (first.tzinfo is None) != (last.tzinfo is None):
        raise ValueError("either both times name a zone, or neither does")
    if first > last:
        raise ValueError(f"{start} is after {until}")
    if kind == "date" and not (_is_day(start) and _is_day(until)):
        raise ValueError("the parameter is of type date; give days, such as 2024-01-31")
    found = []
    for moment in takewhile(lambda moment: moment <= last, _beginnings(first, every)):
        found.append(moment)
        if len(found) > MOST:
            raise ValueError(f"these are more than {MOST:,} partitions")
    as_days = kind == "date" or (kind == "string" and every is not Every.HOUR and _is_day(start))
    return [(moment.date() if as_days else moment).isoformat() for moment in found]


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is no day and no time in ISO 8601, such as 2024-01-31") from None


def _is_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _beginnings(first: dt.datetime, every: Every) -> Iterator[dt.datetime]:
    """Yield when partitions begin. A month that has no such day has its last one."""
    steps = {Every.HOUR: dt.timedelta(hours=1), Every.DAY: dt.timedelta(days=1), Every.WEEK: dt.timedelta(weeks=1)}
    number = 0
    while True:
        try:
            yield first + steps[every] * number if every in steps else _months_later(first, number)
        except (OverflowError, ValueError):  # the end of the calendar
            return
        number += 1


def _months_later(first: dt.datetime, number: int) -> dt.datetime:
    year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
    return first.replace(year=year, month=month + 1, day=min(first.day, calendar.monthrange(year, month + 1)[1]))
