"""Converts Python values, from user code and user connectors, to JSON values.

A value with one exact JSON form gets it. Any other value is refused by its type; nothing is converted by its `repr`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from uuid import UUID

from loom_common.domain.json_values.exact_json import DEEPEST


class NoPlainValue(ValueError):
    """Reports a value that JSON cannot express. The message names its place and its type, never the value."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._path = ""
        super().__init__()

    def within(self, step: str) -> NoPlainValue:
        """Return the error as seen from the structure that holds the value at `step`."""
        self._path = step + self._path
        return self

    def __str__(self) -> str:
        return f"field '{self._path.removeprefix('.')}': {self._what}" if self._path else self._what


def plain(value: Any) -> Any:
    """Return the value as JSON values.

    Dates, times and durations become ISO 8601 text, decimals and UUIDs text, tuples lists, `Enum` members their values,
    dataclasses objects, and NumPy's numbers and arrays numbers and lists.

    Raises `NoPlainValue` for everything else, and for nan, infinity, half a surrogate pair, keys that are no text, and
    cycles."""
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _unicode(value)
    if value is None or kind is int or kind is bool:
        return value
    if kind is float:
        return _finite(value)
    if depth == DEEPEST:
        raise NoPlainValue(f"is nested more than {DEEPEST} levels deep, or contains itself")
    if kind is dict:
        return _object(value, depth)
    if kind is list or kind is tuple:
        return _list(value, depth)
    return _other(value, depth)


def _object(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, each in value.items():
        if not isinstance(key, str):
            raise NoPlainValue(f"a key that is {_named(key)}; keys must be text")
        name = key if type(key) is str and key.isascii() else _unicode(str.__str__(key))
        try:
            members[name] = _plain(each, depth + 1)
        except NoPlainValue as error:
            raise error.within(f".{_shown(name)}") from None
    return members


def _list(value: Any, depth: int) -> list[Any]:
    items = []
    for at, each in enumerate(value):
        try:
            items.append(_plain(each, depth + 1))
        except NoPlainValue as error:
            raise error.within(f"[{at}]") from None
    return items


def _other(value: Any, depth: int) -> Any:
    for kind, form in _FORMS:
        if isinstance(value, kind):
            return form(value)
    if isinstance(value, Enum):
        return _plain(value.value, depth + 1)
    if isinstance(value, Mapping):
        return _object(value, depth)
    if isinstance(value, list | tuple):
        return _list(value, depth)
    if type(value).__module__.partition(".")[0] == "numpy":
        return _numpy(value, depth)
    if isinstance(value, float):
        return _finite(float(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth)
    hint = next((words for kinds, words in _HINTS if isinstance(value, kinds)), "")
    raise NoPlainValue(f"{_named(value)} has no JSON form{hint}")


def _numpy(value: Any, depth: int) -> Any:
    kind = getattr(value, "dtype", None)
    if kind is None or kind.kind not in "biufU" or not hasattr(value, "tolist"):
        raise NoPlainValue(f"{_named(value)} has no JSON form")
    if kind.kind == "f":
        if kind.itemsize > 8:
            raise NoPlainValue(f"{_named(value)} of {kind.itemsize * 8} bits has no exact JSON form")
        if kind.itemsize < 8:  # with the digits of its own precision: 0.1 and not 0.10000000149011612
            value = value.astype(str).astype("float64") if value.shape else float(str(value))
    return _plain(value.tolist() if hasattr(value, "tolist") else value, depth + 1)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise NoPlainValue(
            "is nan; JSON has no form for it" if math.isnan(value) else "is infinite; JSON has no form for it"
        )
    return value


def _unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NoPlainValue("a text that holds half a surrogate pair, which is no character") from None
    return value


def _duration(value: dt.timedelta) -> str:
    """Return the duration in ISO 8601, exact to the microsecond. A minus sign stands before the whole."""
    sign, value = ("-", -value) if value < dt.timedelta() else ("", value)
    seconds = (
        f"{value.seconds}.{value.microseconds:06}".rstrip("0").rstrip(".") if value.microseconds else value.seconds
    )
    return f"{sign}P{value.days}DT{seconds}S"


def _named(value: Any) -> str:
    module = type(value).__module__.rpartition(".")[2]
    name = type(value).__qualname__
    return f"a value of type {name if module == 'builtins' else f'{module}.{name}'}"


def _shown(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise NoPlainValue(f"{_named(value)} that is not finite; JSON has no form for it")
    return str(value)


def _member_or(form: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wrap a conversion of a class that an `Enum` may derive from: `Enum` members are converted to their values."""
    return lambda value: _plain(value.value, 0) if isinstance(value, Enum) else form(value)


_FORMS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, _member_or(lambda value: _unicode(str.__str__(value)))),
    (int, _member_or(int)),
    (dt.datetime, dt.datetime.isoformat),
    (dt.date, dt.date.isoformat),
    (dt.time, dt.time.isoformat),
    (dt.timedelta, _duration),
    (UUID, str),
    (Decimal, _decimal),
)
_HINTS = (
    ((bytes, bytearray, memoryview), ': give text, or {"$bytes": value.hex()} for a database that keeps bytes'),
    ((set, frozenset), ", because it has no order: give a list"),
    ((Fraction, complex), ": give a number or a text"),
)
