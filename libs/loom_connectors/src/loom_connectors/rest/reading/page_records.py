"""Reads the body of an answer as JSON, and the records in it exactly: one that cannot be held as it is costs only
itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_common.errors import RecordError
from loom_connectors.formats.json_records import Unfit, object_of
from loom_connectors.ports.source import ReadRecord
from loom_connectors.rest.http.json_path import MISSING, JsonPath

_KEPT = 64 * 1024
"""The number of characters that are kept of an item that is no record."""


_MOST_DIGITS = 4000
"""The most digits of an integer that Python is sure to read."""


class NoJson(Exception):  # this is translated where it is caught
    """Reports a body that is no JSON, or not all of it."""


class _Object(dict[str, Any]):
    """Holds an object with its members as they were written, of which two may have one name."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class _Number(float):
    """Holds a number with its digits as they were written."""

    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """Represents the JSON of an answer."""

    root: Any
    is_exact: bool
    """Tells whether everything in it is exactly what was written. Else it has objects and numbers with their texts."""

    @staticmethod
    def of(body: bytes) -> Document:
        """Read the body of an answer. Raises `NoJson` where it is no JSON."""
        text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        try:
            return Document(loads(text), is_exact=True)
        except json.JSONDecodeError as error:
            raise NoJson(f"{error.msg} at character {error.pos + 1:,}") from None
        except UnfitJson:
            pass
        try:
            root = json.loads(
                text, parse_float=_number, parse_int=_number, parse_constant=_number, object_pairs_hook=_Object
            )
        except RecursionError:
            raise NoJson("it is nested too deeply") from None
        return Document(root, is_exact=False)

    def find(self, path: JsonPath) -> Any:
        """Return a value outside of the records, such as a cursor or a total; `MISSING` where there is none. A number
        that a program would change is the text that it is."""
        value = path.find(self.root)
        if isinstance(value, _Number):
            is_integer = value.text.removeprefix("-").isdigit() and len(value.text) <= _MOST_DIGITS
            return int(value.text) if is_integer else value.text
        return value

    def items(self, path: JsonPath) -> Any:
        """Return what stands where the list of records is expected; `MISSING` where there is nothing."""
        return path.find(self.root)

    def record(self, item: Any, place: str, position: str) -> ReadRecord:
        """Return an item of the list as a record, with the reason where it is none."""
        if self.is_exact and isinstance(item, dict):
            return ReadRecord(position, item)
        text = _written(item)
        try:
            return ReadRecord(position, object_of(text))
        except Unfit as unfit:
            error = RecordError(f"{place} {position}: {unfit}", code=unfit.code, details={"position": position})
            return ReadRecord(position, {"raw": text[:_KEPT]}, error)


def shape_of(document: Any) -> str:
    """Say what an answer is, to a person who looks for the list in it."""
    if isinstance(document, list):
        return "a list"
    if not isinstance(document, dict):
        return "neither an object nor a list"
    names = [f"{name} (a list)" if isinstance(value, list) else name for name, value in document.items()]
    return f"an object with {', '.join(names[:20])}" if names else "an empty object"


def _number(text: str) -> _Number:
    number = _Number(text)
    number.text = text
    return number


def _written(value: Any) -> str:
    """Write JSON again as it was, but for spaces and escapes."""
    match value:
        case _Object():
            return "{" + ",".join(f"{json.dumps(name)}:{_written(each)}" for name, each in value.pairs) + "}"
        case list():
            return "[" + ",".join(map(_written, value)) + "]"
        case _Number():
            return value.text
        case _:
            return json.dumps(value)


__all__ = ["MISSING", "Document", "NoJson", "shape_of"]
