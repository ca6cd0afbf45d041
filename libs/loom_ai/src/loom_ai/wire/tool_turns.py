"""Writes and reads the turns of a conversation in which a model uses tools. It does no I/O.

An answer that asks for tools is a text as any other, so that the journal, cassettes and token counts hold it: a JSON
object of what is asked for, and of the turn in the provider's own form, which is sent back with the results. Such
a conversation stays with one endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from loom_ai.ports import ChatMessage

USE: str = "tool_use"
"""The role of a turn in which the model asks for tools."""
RESULT: str = "tool_result"
"""The role of a turn that holds what tools returned."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Represents one use of a tool that a model asks for."""

    id: str
    name: str
    arguments: dict[str, Any] | None
    """None where they cannot be read as a JSON object."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """Holds what a tool returned, or why it returned nothing."""

    id: str
    name: str
    text: str
    failed: bool = False


def use_text(uses: Sequence[ToolUse], turn: Any) -> str:
    """Return the text of an answer that asks for tools; `turn` is the turn in the provider's own form."""
    return orjson.dumps({"uses": [asdict(use) for use in uses], "turn": turn}).decode()


def uses_in(text: str) -> list[ToolUse]:
    """Return what an answer asks for."""
    return [ToolUse(**use) for use in orjson.loads(text)["uses"]]


def turn_in(message: ChatMessage) -> Any:
    """Return a turn in the provider's own form."""
    return orjson.loads(message.content)["turn"]


def answered_turns(text: str, results: Sequence[ToolResult]) -> tuple[ChatMessage, ChatMessage]:
    """Return the two turns by which a conversation goes on: the answer that asks for tools, and their results."""
    told = orjson.dumps([asdict(result) for result in results]).decode()
    return ChatMessage("tool_use", text), ChatMessage("tool_result", told)


def results_in(message: ChatMessage) -> list[ToolResult]:
    """Return the results that a turn holds."""
    return [ToolResult(**result) for result in orjson.loads(message.content)]


def arguments_of(written: Any) -> dict[str, Any] | None:
    """Return the arguments of a use, as an object or as its JSON text; None where they are neither."""
    if isinstance(written, str | bytes):
        try:
            written = orjson.loads(written or b"{}")
        except orjson.JSONDecodeError:
            return None
    if written is None:
        return {}
    return dict(written) if isinstance(written, Mapping) else None
