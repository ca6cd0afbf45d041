"""Cuts parts out of a JSON text without changing how they are written. It does no I/O.

Parsing loses information: long numbers are rounded, and of two members with one name only one is kept. A part of a
response that is itself the answer is therefore taken from the text."""

from __future__ import annotations

import json
from typing import Any

from loom_ai.wire.document import whole_text

_NOTHING = object()


class Literal(str):
    """Represents JSON text that was cut out of a larger document."""

    __slots__ = ()


class _Number(str):
    __slots__ = ()


class _Members(list[tuple[str, Any]]):
    __slots__ = ()


def members_of(body: bytes, items: tuple[str, ...], member: tuple[str, ...]) -> list[Literal | None]:
    """Return, for each object in the list at the path `items` of the document, the text at the path `member` of that
    object.

    The entry is None where the object has nothing at that path."""
    try:
        document = json.loads(
            body.decode("utf-8", "replace"),
            object_pairs_hook=_Members,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
        )
    except (ValueError, RecursionError):
        return []
    listed = _at(document, items)
    return [_literal(_at(each, member)) for each in listed] if isinstance(listed, list) else []


def as_text(value: Any) -> str:
    """Return a value as JSON: its original text where that is known, else newly encoded."""
    return str(value) if isinstance(value, Literal) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path, or `_NOTHING` where there is none."""
    for name in path:
        members = dict(value) if isinstance(value, _Members) else {}
        value = members.get(name, _NOTHING)
    return value


def _literal(value: Any) -> Literal | None:
    return None if value is _NOTHING else Literal(whole_text(_text(value)))


def _text(value: Any) -> str:
    match value:
        case _Number():
            return str(value)
        case _Members():
            return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{_text(each)}" for key, each in value) + "}"
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
