"""Reads the fields of a JSON response without trusting their types. It does no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

_LONGEST_NAME = 200
"""The most characters that are kept of the model name in a response."""


class NoAnswer(ValueError):
    """Reports a response that holds no answer of its protocol. The text says what is missing or wrong."""


def parsed(body: bytes) -> Any:
    """Return the JSON value in `body`. Raises `NoAnswer` where the body is empty or is not JSON.

    Some servers send half of a surrogate pair where a token ends within a character. It becomes U+FFFD."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    if not body.strip():
        raise NoAnswer("the body is empty")
    try:
        return _whole(json.loads(body.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError) as error:
        raise NoAnswer("the body is no JSON") from error


def object_of(value: Any, what: str) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object; `what` names it in the error. Raises `NoAnswer`."""
    if not isinstance(value, dict):
        raise NoAnswer(f"{what} is {kind_of(value)}, not an object")
    return value


def object_in(document: Any, name: str) -> Mapping[str, Any] | None:
    """Return the object in the field `name` of a document; None where either is not an object."""
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else None


def first_of(value: Any, what: str) -> Mapping[str, Any]:
    """Return the first element of a list of objects; `what` names the list in the error. Raises `NoAnswer`."""
    if not isinstance(value, list):
        raise NoAnswer(f"{what} is {kind_of(value)}, not a list")
    if not value:
        raise NoAnswer(f"{what} is an empty list")
    return object_of(value[0], f"the first of {what}")


def name_of(value: Any, otherwise: str) -> str:
    """Return the model name that a response states, or `otherwise` where it states none."""
    return value[:_LONGEST_NAME] if isinstance(value, str) and value else otherwise


def kind_of(value: Any) -> str:
    """Describe the type of a JSON value for an error message."""
    match value:
        case None:
            return "missing or null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def whole_text(text: str) -> str:
    """Return the text with U+FFFD in place of each half of a surrogate pair, because no database accepts those."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(value: Any) -> Any:
    match value:
        case str():
            return whole_text(value)
        case list():
            return [_whole(each) for each in value]
        case dict():
            return {whole_text(name): _whole(each) for name, each in value.items()}
        case _:
            return value
