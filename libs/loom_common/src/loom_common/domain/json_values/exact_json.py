"""JSON text to values and back without loss: a number arrives as it is written, or the text is refused.

Python keeps integers of any size and floating-point numbers of 64 bits. A number with a fraction or an exponent is
exact if the 64-bit number nearest to it is written with the same digits: in its shortest form, with 17 or with all.

The fast parser keeps the last of two members of one name, makes a floating-point number of a long integer, and rounds.
So what it read is compared with the text; where they differ, the text is read by a slow parser that sees everything."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any, NoReturn

import orjson

DEEPEST = 100
"""Levels of nesting. Messages hold about twice as many."""
_PLAIN = frozenset((str, int, bool, type(None)))
"""What the fast parser cannot have changed: an integer that it changes becomes a floating-point number."""
_SPACES = b" \t\r\n"
_escaped = json.JSONEncoder(separators=(",", ":")).encode


class UnfitJson(ValueError):
    """JSON that is well formed, but holds what cannot be kept as it is."""

    def __init__(self, message: str, code: str) -> None:
        self.code = code
        """`inexact_number`, `duplicate_name`, `bad_unicode` or `nested_too_deeply`."""
        super().__init__(message)


def loads(text: str) -> Any:
    """The value of a JSON text. Raises `UnfitJson` for a number that would change, for an object with two members of
    one name, for half a surrogate pair and for more than `DEEPEST` levels; `json.JSONDecodeError` for no JSON."""
    try:
        value = orjson.loads(text)
    except json.JSONDecodeError:  # what orjson takes for no JSON (half a surrogate pair, a huge number), or no JSON
        return _slowly(text)
    # Each name is followed by a quote and a colon, unless by a space. Where such pairs are as many as the names that
    # were read, none stands twice.
    flat = type(value) is dict and _PLAIN.issuperset(map(type, value.values()))
    if flat and text.count('":') == len(value) and " :" not in text and "\t" not in text:
        return value
    if text.count("{") + text.count("[") > DEEPEST:
        _see_depth(value, 0)
    written = _escaped(value).encode() if "\\u" in text else orjson.dumps(value)
    # Two texts that are equal without their spaces have the same names and numbers.
    if written.translate(None, _SPACES) == text.encode().translate(None, _SPACES):
        return value
    return _slowly(text)


def dumps(value: Any) -> bytes:
    """JSON of a value, with integers of any size. Raises `TypeError` or `ValueError` for what is no JSON value."""
    try:
        return orjson.dumps(value)
    except TypeError:
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except UnicodeEncodeError:  # half a surrogate pair can be written as an escape alone
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def exact_float(text: str) -> float:
    """The 64-bit number that a decimal text means. Raises `UnfitJson` where its digits would change."""
    number = float(text)
    written = Decimal(text)
    if not math.isfinite(number) or written not in (Decimal(repr(number)), Decimal(f"{number:.17g}"), Decimal(number)):
        raise UnfitJson(
            f"the number {_short(text)} would become {number!r}: it has more digits, or a larger exponent, than a "
            "64-bit floating-point number keeps. Give it as a text.",
            "inexact_number",
        )
    return number


def _see_depth(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise UnfitJson(f"it is nested more than {DEEPEST} levels deep.", "nested_too_deeply")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _see_depth(each, depth + 1)


def _slowly(text: str) -> Any:
    try:
        value = json.loads(
            text,
            parse_float=exact_float,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_members,
        )
    except RecursionError:
        raise UnfitJson(f"it is nested more than {DEEPEST} levels deep.", "nested_too_deeply") from None
    _see_depth(value, 0)
    _see_unicode(value)
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python's own limit, which guards against texts of millions of digits
        words = f"the integer {_short(text)} has {len(text):,} digits."
        raise UnfitJson(words, "inexact_number") from None


def _constant(text: str) -> NoReturn:
    raise UnfitJson(f"{text} is no JSON number.", "inexact_number")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise UnfitJson(f"an object has two members that are called '{twice}'.", "duplicate_name")
    return members


def _see_unicode(value: Any) -> None:
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise UnfitJson("a text holds half a surrogate pair, which is no character.", "bad_unicode") from None
        case dict():
            for name, each in value.items():
                _see_unicode(name)
                _see_unicode(each)
        case list():
            for each in value:
                _see_unicode(each)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
