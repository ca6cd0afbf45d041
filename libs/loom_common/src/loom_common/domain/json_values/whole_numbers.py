"""Makes integers of numbers such as `1.0` where a schema declares an integer: JSON Schema accepts them, file readers do
not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Turn = Callable[[Any], Any]
"""A function that returns a value with its declared integers as `int`, or the same value where nothing changes."""
_Known = dict[int, Turn | None]


def whole_numbers(schema: Mapping[str, Any]) -> Turn | None:
    """Return the conversion for `schema`; None where it declares no integer."""
    return _turn(schema, schema, {})


def _turn(schema: Any, root: Mapping[str, Any], known: _Known) -> Turn | None:
    """Return the conversion of a part of the schema, made once for all references to it."""
    if not isinstance(schema, Mapping):
        return None
    if id(schema) not in known:
        known[id(schema)] = _of_itself(id(schema), known)
        known[id(schema)] = _made(schema, root, known)
    return known[id(schema)]


def _of_itself(key: int, known: _Known) -> Turn:
    """Return a conversion that looks up the part when it is used, because a schema may refer to itself."""

    def turned(value: Any) -> Any:
        turn = known[key]
        return value if turn is None or turn is turned else turn(value)

    return turned


def _made(schema: Mapping[str, Any], root: Mapping[str, Any], known: _Known) -> Turn | None:
    if isinstance(reference := schema.get("$ref"), str):
        return _turn(_referred(reference, root), root, known)
    turns = [
        integer_of if "integer" in _types(schema) and "number" not in _types(schema) else None,
        _object(schema, root, known),
        _list(schema, root, known),
        *(_turn(each, root, known) for each in _alternatives(schema)),
    ]
    return _all(list(dict.fromkeys(turn for turn in turns if turn is not None)))


def _types(schema: Mapping[str, Any]) -> Sequence[str]:
    declared = schema.get("type", ())
    return [declared] if isinstance(declared, str) else declared


def _alternatives(schema: Mapping[str, Any]) -> list[Any]:
    """Return the schemas of which one or all must hold, unless one of them accepts any number."""
    listed = [
        each for word in ("allOf", "anyOf", "oneOf") for each in schema.get(word, ()) if isinstance(each, Mapping)
    ]
    return [] if any("number" in _types(each) for each in listed) else listed


def _referred(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if reference.startswith("#/") else None


def _all(turns: Sequence[Turn]) -> Turn | None:
    if len(turns) < 2:
        return turns[0] if turns else None

    def turned(value: Any) -> Any:
        for turn in turns:
            value = turn(value)
        return value

    return turned


def integer_of(value: Any) -> Any:
    """Return a whole float as the integer with the digits that it is written with, and any other value unchanged.

    Beyond 2**53, `int` would return the digits of its binary form instead."""
    return int(Decimal(repr(value))) if type(value) is float and value.is_integer() else value


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], known: _Known) -> Turn | None:
    named = {name: _turn(each, root, known) for name, each in (schema.get("properties") or {}).items()}
    wanted = {name: turn for name, turn in named.items() if turn is not None}
    further = _turn(schema.get("additionalProperties"), root, known)
    if not wanted and further is None:
        return None

    def turned(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        changed = {}
        for name, each in value.items():
            turn = wanted.get(name) if name in named else further
            if turn is not None and (other := turn(each)) is not each:
                changed[name] = other
        return {**value, **changed} if changed else value

    return turned


def _list(schema: Mapping[str, Any], root: Mapping[str, Any], known: _Known) -> Turn | None:
    first = [_turn(each, root, known) for each in schema.get("prefixItems") or ()]
    rest = _turn(schema.get("items"), root, known)
    if rest is None and not any(first):
        return None

    def turned(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        turns = [*first, *[rest] * max(0, len(value) - len(first))]
        items = [each if turn is None else turn(each) for each, turn in zip(value, turns, strict=False)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value

    return turned
