"""Describes what a simulated model is asked and answers in the same terms for all providers, and reads the texts of a
conversation. It does no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_ATTACHED = frozenset({"image_url", "file", "input_audio", "image", "document"})
"""Kinds of parts of a message that are attachments, by OpenAI and Anthropic."""
_CORRECTED = "Answer again, with the corrected JSON object and nothing else."
"""The end of the message by which an answer of another shape is given back."""
SCHEMA_IN_WORDS = "JSON Schema: "
"""The text in front of a schema that is described in a system message."""


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """Describes a request, in the same terms for all providers."""

    model: str
    turns: tuple[str, ...]
    """Holds the texts of the conversation, the system message first."""
    question: str
    """The texts of the user's messages."""
    schema: Mapping[str, Any] | None
    form: str | None
    """Says how the answer is held to a schema: `json_schema`, `json_object`, or None."""
    max_tokens: int | None
    tool: tuple[str, Mapping[str, Any]] | None = None
    """The name and the parameters of the tool that the answer asks for: the first of those that may be used, while the
    conversation has no result of one."""
    seed: int | None = None
    reasoning: int = 0
    """The tokens of reasoning that the answer counts."""
    marked: tuple[str, ...] = ()
    """The beginnings of the conversation that the provider is asked to keep, the shortest first."""
    logprobs: bool = False
    """Tells whether the probabilities of the answer's tokens are asked for."""


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """Describes an answer, in the same terms for all providers."""

    text: str
    tokens_in: int
    tokens_out: int
    number: int
    truncated: bool = False
    refused: bool = False
    arguments: Mapping[str, Any] | None = None
    """The arguments of the tool that is asked for, in place of a text."""
    cached: int = 0
    """Counts the tokens of `tokens_in` that were kept before."""
    written: int = 0
    """Counts the tokens of `tokens_in` that are kept from now on."""
    logprobs: tuple[tuple[str, float], ...] = ()
    """The tokens of the text with the logarithms of their probabilities."""


def question_in(turns: Iterable[tuple[str, Any]]) -> str:
    """Return what the user asks, as one text: examples are turns of the user, too, and the same for every record. A
    request to correct an answer is left out, as the corrected answer is that to the question."""
    texts = (text_of(content) for role, content in turns if role == "user")
    return "\n".join(text for text in texts if not text.endswith(_CORRECTED))


def text_of(content: Any) -> str:
    """Return the content of a message as one text. An attachment stands in it by its hash, so that another picture has
    another answer, and does not count as a long text."""
    if content is None:  # a turn that uses tools may have no text
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(map(text_of_part, content))


def text_of_part(part: Mapping[str, Any]) -> str:
    """Return a part of a message as a text; an attachment as its hash."""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    attached = part.get("type") in _ATTACHED or "inlineData" in part or "fileData" in part
    text = orjson.dumps(part)
    return hashlib.sha256(text).hexdigest() if attached else text.decode()


def schema_in_words(turns: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the schema that a system message describes, or None."""
    for turn in turns:
        if SCHEMA_IN_WORDS in turn:
            # Other words of the system message may follow it.
            schema: dict[str, Any]
            schema, _ = json.JSONDecoder().raw_decode(turn.split(SCHEMA_IN_WORDS, 1)[1])
            return schema
    return None


def object_or_empty(text: str) -> dict[str, Any]:
    """Return the JSON object that the text is, or an empty object where it is none, because a tool's input is always an
    object."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
