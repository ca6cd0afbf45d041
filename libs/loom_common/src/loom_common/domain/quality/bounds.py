"""Reads numbers, dates and times, as bounds of a range and as values of records, and tells whether there is a value."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

Comparable = Decimal | dt.datetime
"""A value that a range compares: a number, or a time. A date is the time at its beginning."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")


def has_value(value: Any) -> bool:
    """Tell whether a field has a value."""
    return value is not None and value != ""


def number_of(value: Any) -> Decimal:
    """Return the number that a value is, or that its text says. Raises `ValueError` where there is none."""
    if isinstance(value, bool):
        raise ValueError("a boolean is no number")
    if isinstance(value, int):
        return Decimal(value)
    text = repr(value) if isinstance(value, float) else value.strip() if isinstance(value, str) else ""
    if not _NUMBER.fullmatch(text):
        raise ValueError("it is no number")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("it is no number") from error


def time_of(value: Any) -> dt.datetime:
    """Return the time that a text says in ISO 8601, without a zone where it names none. Raises `ValueError`."""
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    if not isinstance(value, str):
        raise ValueError("it is no time")
    try:
        return dt.datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise ValueError("it is no date and no time in ISO 8601") from error


def readable_bound(value: Any) -> Comparable:
    """Return a bound: a number, or a date or time. Raises `ValueError`."""
    try:
        return number_of(value)
    except ValueError:
        return time_of(value)


def less(one: Comparable, other: Comparable) -> bool:
    """Tell whether `one` is less than `other`. Raises `TypeError` where they are of two kinds, or where only one of two
    times names a zone."""
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one < other
    if isinstance(one, dt.datetime) and isinstance(other, dt.datetime):
        return one < other
    raise TypeError("a number and a time cannot be compared")


def _bound(value: Any) -> Any:
    try:
        readable_bound(value)
    except ValueError as error:
        raise PydanticCustomError("bound", "a number, or a date or time in ISO 8601") from error
    return value.isoformat() if isinstance(value, dt.date) else value


Bound = Annotated[int | float | str, BeforeValidator(_bound)]
"""A bound as a pipeline file has it."""
