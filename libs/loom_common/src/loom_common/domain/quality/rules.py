"""Decides whether a record holds a check that looks at nothing but the record.

A field that is missing, null or an empty text has no value. Only `not_null` misses for it; `regex`, `enum` and `length`
look at an empty text as at any other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from loom_common.domain.json_values.patterns import pattern_of
from loom_common.domain.quality.bounds import Comparable, has_value, less, number_of, readable_bound, time_of
from loom_common.domain.quality.check import QualityCheck
from loom_common.domain.quality.kinds import Enum, Length, NotNull, Range, Regex, Type, TypeName
from loom_common.domain.values.ids import sorted_json
from loom_common.errors import RecordError

Rule = Callable[[Any], str | None]
"""A function of a value: it returns why the value misses the check, and None where it holds."""

_BOOLEANS = ("true", "false")


def rule_of(check: QualityCheck) -> Rule | None:
    """Return the rule of a check that looks at one field of a record; None where it needs more than that."""
    match check:
        case NotNull():
            return _not_null
        case Regex(pattern=pattern):
            return _regex(pattern)
        case Range(min_value=least, max_value=greatest):
            return _range(least, greatest)
        case Enum(values=values, case_sensitive=case_sensitive):
            return _enum(values, case_sensitive=case_sensitive)
        case Type(type=name, strict=strict):
            return _type(name, strict=strict)
        case Length(min=least, max=greatest):
            return _length(least, greatest)
        case _:
            return None


def _not_null(value: Any) -> str | None:
    return None if has_value(value) else "it has no value"


def _regex(written: str) -> Rule:
    pattern = pattern_of(written)

    def rule(value: Any) -> str | None:
        if value is None:
            return None
        try:
            found = pattern.found_in(_text(value))
        except RecordError as error:
            return str(error)
        return None if found else f"the pattern {written[:100]} is not found in it"

    return rule


def _range(least: Any, greatest: Any) -> Rule:
    low = None if least is None else readable_bound(least)
    high = None if greatest is None else readable_bound(greatest)
    times = isinstance(low if low is not None else high, dt.datetime)

    def rule(value: Any) -> str | None:
        if not has_value(value):
            return None
        try:
            found: Comparable = time_of(value) if times else number_of(value)
            if low is not None and less(found, low):
                return f"it is less than {least}"
            if high is not None and less(high, found):
                return f"it is greater than {greatest}"
        except ValueError as error:
            return str(error)
        except TypeError:
            return "it names no time zone, or the bounds name none, so they cannot be compared"
        return None

    return rule


def _enum(values: list[Any], *, case_sensitive: bool) -> Rule:
    allowed = {_key(each, case_sensitive=case_sensitive) for each in values}

    def rule(value: Any) -> str | None:
        if value is None or _key(value, case_sensitive=case_sensitive) in allowed:
            return None
        return "it is none of the listed values"

    return rule


def _key(value: Any, *, case_sensitive: bool) -> bytes:
    if isinstance(value, str) and not case_sensitive:
        value = value.casefold()
    return sorted_json({"": value}) or repr(value).encode()


def _length(least: int | None, greatest: int | None) -> Rule:
    def rule(value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str | list):
            return "it is neither a text nor a list, so it has no length"
        if least is not None and len(value) < least:
            return f"its length is {len(value)}, less than {least}"
        if greatest is not None and len(value) > greatest:
            return f"its length is {len(value)}, greater than {greatest}"
        return None

    return rule


def _type(name: TypeName, *, strict: bool) -> Rule:
    is_one = _TYPES[name]
    reads_as = _READ_AS.get(name) if not strict else None

    def rule(value: Any) -> str | None:
        if not has_value(value) or is_one(value):
            return None
        if reads_as is not None and isinstance(value, str) and reads_as(value):
            return None
        return f"it is no {name}"

    return rule


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _reads_as_number(text: str) -> bool:
    try:
        number_of(text)
    except ValueError:
        return False
    return True


def _reads_as_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return "_" not in text


def _is_date(value: Any) -> bool:
    try:
        dt.date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _is_time(value: Any) -> bool:
    try:
        time_of(value)
    except ValueError:
        return False
    return isinstance(value, str)


_TYPES: Mapping[TypeName, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _whole(value) or (isinstance(value, float) and value.is_integer()),
    "number": lambda value: _whole(value) or isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "date": _is_date,
    "datetime": _is_time,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}
_READ_AS: Mapping[TypeName, Callable[[str], bool]] = {
    "integer": _reads_as_integer,
    "number": _reads_as_number,
    "boolean": lambda text: text.strip().lower() in _BOOLEANS,
}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    written = sorted_json({"": value})
    return repr(value) if written is None else written[4:-1].decode()
