"""Holds one answer of a server, and the words in it that say why it refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from loom_common.text import readable

_SHOWN = 300
"""The most characters of a server's message that an error quotes."""
_NAMES = ("message", "detail", "error_description", "error", "errors", "title", "reason", "description")


@dataclass(frozen=True, slots=True)
class Answer:
    """Represents what a server answered to one try of a request, after redirections."""

    status: int
    url: str = field(repr=False)
    """The address that answered, after redirections."""
    headers: Mapping[str, str] = field(repr=False)
    """Holds the first header of each name; names are equal whatever their case."""
    body: bytes = field(repr=False)
    links: tuple[str, ...] = field(default=(), repr=False)
    """Holds every header `Link`."""
    pause: float | None = None
    """The seconds that the server asks to wait."""

    @property
    def words(self) -> str:
        """Return why the server refused, in its words; an empty text where it has none."""
        try:
            document = orjson.loads(self.body)
        except json.JSONDecodeError:
            markup = self.body.lstrip()[:1] == b"<"
            return "" if markup else cut(self.body[: 4 * _SHOWN].decode("utf-8", "replace").strip())
        return words_in(document)


def words_in(document: Any) -> str:
    """Return the message in an error, in whichever of the common shapes it is."""
    if isinstance(document, str):
        return cut(document)
    if isinstance(document, list):
        return cut("; ".join(filter(None, map(words_in, document[:5]))))
    if isinstance(document, dict):
        for name in _NAMES:
            if document.get(name) and (words := words_in(document[name])):
                return words
        return cut(orjson.dumps(document, default=str).decode()) if document else ""
    return ""


def cut(text: str) -> str:
    """Return the beginning of a text, as every database accepts it."""
    return readable(text)[:_SHOWN]
