"""Parts of a JSON document as they are written: numbers with all their digits, and members that stand twice. Pure.

A parser gives values, and some values are not what was written: a long number is rounded, of two members of one name
one is lost. Where a part of a response is itself the answer, it is read from its own text."""

from __future__ import annotations

import json
from typing import Any

from loom_ai.wire.document import whole_text

_NOTHING = object()


class Literal(str):
    """A part of a document as JSON text."""

    __slots__ = ()


class _Number(str):
    __slots__ = ()


class _Members(list[tuple[str, Any]]):
    __slots__ = ()


def members_of(body: bytes, items: tuple[str, ...], member: tuple[str, ...]) -> list[Literal | None]:
    """Of each object in the list that the document holds at the path `items`, what stands at the path `member`, as it
    is written; None where nothing does."""
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
    """A part of a document as JSON text: as it is written, where that is known."""
    return str(value) if isinstance(value, Literal) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at a path; `_NOTHING` where nothing does."""
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
