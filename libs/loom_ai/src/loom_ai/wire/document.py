"""The JSON document that an endpoint sent, and how its fields are read: whatever stands in it, by type. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

_LONGEST_NAME = 200
"""Characters of a model's name, as an endpoint gives it."""


class NoAnswer(ValueError):
    """A response that holds no answer of its protocol. The text says what is missing or wrong."""


def parsed(body: bytes) -> Any:
    """The document. Raises `NoAnswer` where the body is empty or no JSON.

    Half a surrogate pair, which some servers send where a token ends within a character, becomes U+FFFD."""
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
    """`value`, which must be a JSON object. Raises `NoAnswer`."""
    if not isinstance(value, dict):
        raise NoAnswer(f"{what} is {kind_of(value)}, not an object")
    return value


def first_of(value: Any, what: str) -> Mapping[str, Any]:
    """The first object of a list. Raises `NoAnswer`."""
    if not isinstance(value, list):
        raise NoAnswer(f"{what} is {kind_of(value)}, not a list")
    if not value:
        raise NoAnswer(f"{what} is an empty list")
    return object_of(value[0], f"the first of {what}")


def name_of(value: Any, otherwise: str) -> str:
    """The name of the model that answered."""
    return value[:_LONGEST_NAME] if isinstance(value, str) and value else otherwise


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
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
    """The text with U+FFFD for each half of a surrogate pair, which no store takes."""
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
