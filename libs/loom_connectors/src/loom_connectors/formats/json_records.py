"""Reads one JSON object from text: a record, or the reason why it is kept back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_common.domain.json_values.kinds import kind_of
from loom_common.errors import SourceError
from loom_connectors.files.format import FilePosition, TextFile

DEEPEST = 100
"""The number of levels of nesting. Messages hold about twice as many."""


class Unfit(Exception):  # this is no error of the program: it is what a record is kept back for
    """The text is no JSON object, or cannot be held as it is."""

    def __init__(self, code: str, words: str, column: int | None = None) -> None:
        self.code = code
        self.column = column
        """Counted from 1, where it is known."""
        super().__init__(words)


def object_of(text: str) -> dict[str, Any]:
    """Return the object that `text` is. Raises `Unfit`."""
    try:
        value = loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(text, error) from None
    except UnfitJson as error:
        raise Unfit(error.code, str(error)) from None
    if not isinstance(value, dict):
        raise Unfit("bad_json", f"{kind_of(value)}, expected an object in braces.", 1)
    if text.count("{") + text.count("[") > DEEPEST:
        _see_depth(value.values(), 2)
    return value


def _see_depth(values: Iterable[Any], depth: int) -> None:
    for each in values:
        kind = type(each)
        if kind is dict or kind is list:
            if depth > DEEPEST:
                raise Unfit("nested_too_deeply", f"more than {DEEPEST} levels of nesting. Flatten the record.")
            _see_depth(each.values() if kind is dict else each, depth + 1)


def _unreadable(text: str, error: json.JSONDecodeError) -> Unfit:
    words = f"{error.msg}."
    if text.rstrip().endswith("},"):
        words += " The line ends in a comma: JSON Lines has none between objects."
    return Unfit("bad_json", words, error.colno)


def see_lines(file: TextFile) -> None:
    """Raises `SourceError` for a file that is one JSON value over several lines, or one array."""
    lines = (text.strip() for text in file.lines(FilePosition()))
    first = next(filter(None, lines), "")
    if first[:1] not in ("[", "{"):
        return
    try:
        value = orjson.loads(first)
    except json.JSONDecodeError:
        value = None
    of_records = isinstance(value, list) and value[:1] != [] and isinstance(value[0], dict)
    if first[0] == "[" and (value is None or (of_records and next(filter(None, lines), None) is None)):
        raise SourceError(
            f"{file.shown} is one JSON array; JSON Lines has one object a line. Say what it is: "
            "`options: {format: json}`, or convert it: `jq -c '.[]' array.json > lines.jsonl`."
        )
    if first == "{":
        raise SourceError(
            f"{file.shown} has a JSON object over several lines; JSON Lines has one object a line. Convert it: "
            "`jq -c . objects.json > lines.jsonl`."
        )
