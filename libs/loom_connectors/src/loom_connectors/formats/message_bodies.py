"""Takes the text of a message apart into records. A part that is none costs its own record alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_connectors.formats.json_records import Unfit, object_of

Body = Literal["json", "jsonl", "text"]
"""Says what a message holds."""
LONGEST_RAW = 64 * 1024
"""The number of characters that are kept of a message that is no record."""


class Part:
    """Holds one record of a message, or why it is none."""

    __slots__ = ("only", "text", "value")

    def __init__(self, value: dict[str, Any] | Unfit, text: str, *, only: bool = False) -> None:
        self.value = value
        self.text = text
        self.only = only


def parts_of(text: str, form: Body, text_field: str) -> Iterator[Part]:
    """Return the records that the text of a message holds. `text_field` is the field of one that is no JSON."""
    match form:
        case "text":
            yield Part({text_field: text}, text, only=True)
        case "jsonl":
            for line in text.split("\n"):  # other separators of lines may stand within a text of JSON
                if line.strip():
                    yield Part(_object(line), line)
        case "json" if text.lstrip().startswith("["):
            yield from _items(text)
        case _:
            yield Part(_object(text), text, only=True)


def _items(text: str) -> Iterator[Part]:
    try:
        items = loads(text)
    except json.JSONDecodeError as error:
        yield Part(Unfit("bad_json", f"{error.msg}.", error.colno), text, only=True)
        return
    except UnfitJson as error:
        yield Part(Unfit(error.code, str(error)), text, only=True)
        return
    for item in items:
        if isinstance(item, dict):
            yield Part(item, "")
        else:
            yield Part(Unfit("bad_json", "expected an object in braces."), json.dumps(item))


def _object(text: str) -> dict[str, Any] | Unfit:
    try:
        return object_of(text)
    except Unfit as unfit:
        return unfit
