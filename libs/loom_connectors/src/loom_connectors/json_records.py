"""One JSON object as text, read exactly: no key twice, no number changed.

The fast parser keeps the last of equal keys, makes a float of an integer beyond 64 bits, and rounds a number of many
digits. So what it read is compared with the text, cheaply; where they differ, the text is read again by a slow parser
that sees everything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson

DEEPEST = 100
"""Levels of nesting. Messages hold about twice as many."""
_PLAIN = frozenset((str, int, bool, type(None)))
"""What the fast parser cannot have changed: an integer that it changes becomes a float."""
_SPACES = b" \t\r\n"
_ESCAPED = json.JSONEncoder(separators=(",", ":")).encode


class Unfit(Exception):  # no error of the program: what a record is kept back for
    """The text is no JSON object, or cannot be held as it is."""

    def __init__(self, code: str, words: str, column: int | None = None) -> None:
        self.code = code
        self.column = column
        """Counted from 1, where it is known."""
        super().__init__(words)


def object_of(text: str) -> dict[str, Any]:
    """The object that `text` is. Raises `Unfit`."""
    try:
        value = orjson.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(text, error) from None
    if not isinstance(value, dict):
        raise Unfit("bad_json", f"{_kind(value)}, expected an object in braces.", 1)
    if _PLAIN.issuperset(map(type, value.values())):
        # Each key is followed by a quote and a colon, unless by a space. Where such pairs are as many as the keys that
        # were read, no key stands twice.
        if text.count('":') == len(value) and " :" not in text and "\t" not in text:
            return value
    elif text.count("{") + text.count("[") > DEEPEST:
        _see_depth(value.values(), 2)
    written = _ESCAPED(value).encode() if "\\u" in text else orjson.dumps(value)
    # Two texts that are equal without their spaces have the same keys and numbers.
    if written.translate(None, _SPACES) == text.encode().translate(None, _SPACES):
        return value
    return _read_slowly(text)


def _see_depth(values: Iterable[Any], depth: int) -> None:
    for each in values:
        kind = type(each)
        if kind is dict or kind is list:
            if depth > DEEPEST:
                raise Unfit("nested_too_deeply", f"more than {DEEPEST} levels of nesting. Flatten the record.")
            _see_depth(each.values() if kind is dict else each, depth + 1)


def _read_slowly(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text, object_pairs_hook=_of_pairs, parse_float=_float)
    return value


def _of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        again = Counter(name for name, _ in pairs).most_common(1)[0][0]
        words = f"the key '{again}' stands twice in one object. Remove or rename one of them."
        raise Unfit("duplicate_json_key", words)
    return value


def _float(text: str) -> float:
    """The number as a float: where the text is its shortest form, its 17 digits as some programs write them, or its
    full value, so that nothing is lost."""
    value = float(text)
    if repr(value) != text:
        exact = Decimal(text)
        if exact not in (Decimal(repr(value)), Decimal(f"{value:.16e}"), Decimal(value)):
            raise Unfit(
                "inexact_number",
                f"the number {text[:80]} has more digits than a floating-point number holds. Write it as text, in "
                "quotes.",
            )
    return value


def _unreadable(text: str, error: json.JSONDecodeError) -> Unfit:
    words = f"{error.msg}."
    if text.rstrip().endswith("},"):
        words += " The line ends in a comma: JSON Lines has none between objects."
    return Unfit("bad_json", words, error.colno)


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
