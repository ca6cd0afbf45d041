"""Values of Python as values of JSON: what user code returns, and what a connector of the user's own reads.

What has one exact form is given that form. Anything else is refused by its type; nothing becomes its `repr`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from uuid import UUID

_DEEPEST = 128
"""Levels of nesting. What is deeper is most likely a structure that contains itself."""


class NoPlainValue(ValueError):
    """A value that JSON cannot say. The text names its place and its type, never the value."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._path = ""
        super().__init__()

    def within(self, step: str) -> NoPlainValue:
        """The same, seen from the structure that holds the value at `step`."""
        self._path = step + self._path
        return self

    def __str__(self) -> str:
        return f"field '{self._path.removeprefix('.')}': {self._what}" if self._path else self._what


def plain(value: Any) -> Any:
    """The value as JSON values. Dates and times become ISO 8601 text, durations too; decimals and UUIDs text, tuples
    lists, members of an `Enum` their value, dataclasses objects, NumPy's numbers and arrays numbers and lists.

    Raises `NoPlainValue` for everything else, and for nan and infinity, half a surrogate pair, keys that are no text,
    and what contains itself."""
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _unicode(value)
    if value is None or kind is int or kind is bool:
        return value
    if kind is float:
        return _finite(value)
    if depth == _DEEPEST:
        raise NoPlainValue(f"is nested more than {_DEEPEST} levels deep, or contains itself")
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
    match value:
        case Enum():
            return _plain(value.value, depth + 1)
        case str():
            return _unicode(str.__str__(value))
        case int():
            return int(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return _duration(value)
        case UUID():
            return str(value)
        case Decimal():
            if not value.is_finite():
                raise NoPlainValue(f"{_named(value)} that is not finite; JSON has no form for it")
            return str(value)
        case Mapping():
            return _object(value, depth)
        case list() | tuple():
            return _list(value, depth)
    if type(value).__module__.partition(".")[0] == "numpy":
        return _numpy(value, depth)
    if isinstance(value, float):
        return _finite(float(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth)
    hint = ""
    if isinstance(value, bytes | bytearray | memoryview):
        hint = ': give text, or {"$bytes": value.hex()} for a database that keeps bytes'
    elif isinstance(value, set | frozenset):
        hint = ", because it has no order: give a list"
    elif isinstance(value, Fraction | complex):
        hint = ": give a number or a text"
    raise NoPlainValue(f"{_named(value)} has no JSON form{hint}")


def _numpy(value: Any, depth: int) -> Any:
    kind = getattr(value, "dtype", None)
    if kind is None or kind.kind not in "biufU" or not hasattr(value, "tolist"):
        raise NoPlainValue(f"{_named(value)} has no JSON form")
    if kind.kind == "f":
        if kind.itemsize > 8:
            raise NoPlainValue(f"{_named(value)} of {kind.itemsize * 8} bits has no exact JSON form")
        if kind.itemsize < 8:  # in as many digits as it has: 0.1 and not 0.10000000149011612
            value = value.astype(str).astype("float64") if value.shape else float(str(value))
    return _plain(value.tolist() if hasattr(value, "tolist") else value, depth + 1)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise NoPlainValue("is nan; JSON has no form for it" if math.isnan(value) else "is infinite; JSON has no form for it")
    return value


def _unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NoPlainValue("a text that holds half a surrogate pair, which is no character") from None
    return value


def _duration(value: dt.timedelta) -> str:
    """ISO 8601, exact to the microsecond; a minus stands before the whole."""
    sign, value = ("-", -value) if value < dt.timedelta() else ("", value)
    seconds = f"{value.seconds}.{value.microseconds:06}".rstrip("0").rstrip(".") if value.microseconds else value.seconds
    return f"{sign}P{value.days}DT{seconds}S"


def _named(value: Any) -> str:
    module = type(value).__module__.rpartition(".")[2]
    name = type(value).__qualname__
    return f"a value of type {name if module == 'builtins' else f'{module}.{name}'}"


def _shown(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:57]}..."
