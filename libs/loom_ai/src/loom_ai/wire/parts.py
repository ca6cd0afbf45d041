"""Reads the text of an answer that comes as a list of parts, by the kind of each part. It does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loom_ai.wire.document import NoAnswer, kind_of
from loom_common.domain.values.per_record import per_record

_TEXTS = frozenset({"text", "output_text"})
_THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_text", "summary_text"})
"""Kinds of parts that hold reasoning, which is no part of the answer."""
_SHOWN = 40
"""The most characters that are kept of a kind's name."""


@per_record
class MessageText:
    """Holds the text of a message, and what was left out of it."""

    text: str = ""
    refused: str | None = None
    """The text of a refusal, where the message holds one."""
    noted: tuple[str, ...] = ()
    """Holds the kinds of other parts that were left out. Reasoning is not listed."""


def message_text(content: Any) -> MessageText:
    """Read a message's `content`: a text, a list of parts, or null. Raises `NoAnswer` for anything else."""
    if isinstance(content, str):
        return MessageText(content)
    if content is None:
        return MessageText()
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
    return MessageText("".join(texts), refused, distinct_kinds(noted))


def kind_of_part(part: Any) -> str:
    """Return the kind that a part states. Raises `NoAnswer` where it states none."""
    if not isinstance(part, dict):
        raise NoAnswer(f"a part of the content is {kind_of(part)}, not an object")
    kind = part.get("type")
    if not isinstance(kind, str):
        raise NoAnswer("a part of the content does not say its type")
    return kind


def text_in(part: Mapping[str, Any], name: str) -> str:
    """Return the text in a part's field. Raises `NoAnswer` where the field holds no text."""
    text = part.get(name)
    if not isinstance(text, str):
        raise NoAnswer(f"the `{name}` of a part is {kind_of(text)}, not a text")
    return text


def distinct_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return each kind once, as it may be shown."""
    return tuple(dict.fromkeys(kind[:_SHOWN] for kind in kinds))[:10]
