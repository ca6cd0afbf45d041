"""The text of an answer that comes in parts: read by their kinds, never turned into text as they stand. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loom_ai.wire.document import NoAnswer, kind_of

_TEXTS = frozenset({"text", "output_text"})
_THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_text", "summary_text"})
"""Reasoning, which is no part of the answer."""
_SHOWN = 40
"""Characters of a kind's name."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said."""

    text: str = ""
    refused: str | None = None
    """The words of a refusal, where there is one."""
    noted: tuple[str, ...] = ()
    """Kinds of parts that are no text and were left out, other than reasoning."""


def said_in(content: Any) -> Said:
    """What a message's `content` says: a text, a list of parts, or nothing. Raises `NoAnswer` for anything else."""
    if isinstance(content, str):
        return Said(content)
    if content is None:
        return Said()
    if not isinstance(content, list):
        raise NoAnswer(f"the content is {kind_of(content)}, neither a text nor a list of parts")
    texts: list[str] = []
    refused: str | None = None
    noted: list[str] = []
    for part in content:
        kind = kind_of_part(part)
        if kind in _TEXTS:
            texts.append(text_in(part, "text"))
        elif kind == "refusal":
            refused = text_in(part, "refusal")
        elif kind not in _THOUGHTS:
            noted.append(kind)
    return Said("".join(texts), refused, once(noted))


def kind_of_part(part: Any) -> str:
    """Raises `NoAnswer` for a part that does not say its kind."""
    if not isinstance(part, dict):
        raise NoAnswer(f"a part of the content is {kind_of(part)}, not an object")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise NoAnswer("a part of the content does not say its type")
    return kind


def text_in(part: Mapping[str, Any], name: str) -> str:
    """Raises `NoAnswer` where the field is no text."""
    text = part.get(name)
    if not isinstance(text, str):
        raise NoAnswer(f"the `{name}` of a part is {kind_of(text)}, not a text")
    return text


def once(kinds: Iterable[str]) -> tuple[str, ...]:
    """Each kind once, as it may be shown."""
    return tuple(dict.fromkeys(kind[:_SHOWN] for kind in kinds))[:10]
