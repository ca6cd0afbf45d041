"""Reads and writes JSON without loss: a number is read exactly, or the text is refused.

Python has integers of any size and 64-bit floating-point numbers. A number with a fraction or an exponent is exact if
the nearest 64-bit number has the same digits in its shortest form, with 17 digits, or with all digits.

The fast parser keeps the last of two members with one name, turns long integers into floating-point numbers, and
rounds. Its result is therefore compared with the text, and where they differ, a slow parser that detects all of this
reads the text again."""

from __future__ import annotations

import json
import math
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

DEEPEST = 100
"""The most levels of nesting. Messages may have about twice as many."""
_PLAIN = frozenset((str, int, bool, type(None)))
"""Types that the fast parser cannot have altered. An integer that it alters becomes a float."""
_SPACES = b" \t\r\n"
_SPACED_COLONS = (" :", "\t:", "\r:", "\n:")
_escaped = json.JSONEncoder(separators=(",", ":")).encode


class UnfitJson(ValueError):
    """Reports well-formed JSON that cannot be stored exactly as written."""

    def __init__(self, message: str, code: str) -> None:
        self.code = code
        """`inexact_number`, `duplicate_name`, `bad_unicode` or `nested_too_deeply`."""
        super().__init__(message)


def loads(text: str) -> Any:
    """Return the value of a JSON text.

    Raises `UnfitJson` for a number that would change, an object with two members of one name, half a surrogate pair,
    and more than `DEEPEST` levels. Raises `json.JSONDecodeError` for text that is not JSON."""
    try:
        value = orjson.loads(text)
    except json.JSONDecodeError:  # orjson also rejects surrogate halves and huge numbers
        return _slowly(text)
    # Each name is followed by a quote and a colon, unless by a space. Where the text has as many such pairs as names
    # were read, no name occurs twice.
    flat = type(value) is dict and _PLAIN.issuperset(map(type, value.values()))
    if flat and text.count('":') == len(value) and not any(colon in text for colon in _SPACED_COLONS):
        return value
    if text.count("{") + text.count("[") > DEEPEST:
        _see_depth(value, 0)
    written = _escaped(value).encode() if "\\u" in text else orjson.dumps(value)
    # Two texts that are equal without their spaces have the same names and numbers.
    if written.translate(None, _SPACES) == text.encode().translate(None, _SPACES):
        return value
    return _slowly(text)


def dumps(value: Any) -> bytes:
    """Return the JSON of a value, with integers of any size. Raises `TypeError` or `ValueError` for other values."""
    try:
        return orjson.dumps(value)
    except TypeError:
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except UnicodeEncodeError:  # half a surrogate pair can only be written as an escape
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def exact_float(text: str) -> float:
    """Return the 64-bit number that a decimal text denotes. Raises `UnfitJson` where its digits would change."""
    number = float(text)
    try:
        written = Decimal(text)
    except InvalidOperation:  # its exponent is greater than those of decimals
        written = None
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
    except ValueError:  # Python limits the digits of an integer, against texts of millions of digits
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
