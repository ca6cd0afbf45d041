"""Anthropic's messages. A schema is held to by a tool that has to be used: its input is the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish, written
from loom_ai.wire.document import NoAnswer, name_of, object_of
from loom_ai.wire.form import USUAL, Form, Manner, described, merged
from loom_ai.wire.parts import Said, kind_of_part, once, said_in
from loom_ai.wire.usage import Counted, added, checked

VERSION = "2023-06-01"
LONGEST = 4096
"""Tokens of an answer where the pipeline names no `max_tokens`: this protocol wants a number."""
_TOOL = "output"
_REASONS = {
    **dict.fromkeys(("end_turn", "stop_sequence"), finish.WHOLE),
    "max_tokens": finish.CUT_OFF,
    "refusal": finish.REFUSED,
    "model_context_window_exceeded": finish.BEYOND_WINDOW,
    "pause_turn": "pause_turn",
}
"""Its words for how an answer ended. `tool_use` is one where the tool is Loom's."""


def forms(call: ModelCall) -> tuple[Form, ...]:
    return (Form.PLAIN,) if call.schema is None else (Form.JSON_SCHEMA, Form.PLAIN)


def url(base_url: str, _model: str) -> str:
    """The address is often named without its version."""
    return f"{base_url if base_url.endswith('/v1') else f'{base_url}/v1'}/messages"


def headers(secret: str | None) -> dict[str, str]:
    return {"anthropic-version": VERSION, **({"x-api-key": secret} if secret else {})}


def limits(_base_url: str) -> tuple[str, ...]:
    return ("max_tokens",)


def request_body(call: ModelCall, form: Form, manner: Manner = USUAL) -> bytes:
    messages = described(call, form)
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    body: dict[str, Any] = {
        "model": call.model,
        "max_tokens": call.max_tokens or LONGEST,
        "messages": [
            {"role": message.role, "content": message.content} for message in messages if message.role != "system"
        ],
    }
    if system:
        body["system"] = system
    if call.temperature is not None and manner.temperature:
        body["temperature"] = call.temperature
    if form is Form.JSON_SCHEMA:
        body["tools"] = [{"name": _TOOL, "description": "Gives the answer.", "input_schema": call.schema}]
        body["tool_choice"] = {"type": "tool", "name": _TOOL, "disable_parallel_tool_use": True}
    return merged(body, call, body)


def parsed(body: bytes) -> Any:
    """The document. The input of a tool is the answer itself, so it is kept as it is written."""
    document = documents.parsed(body)
    content = document.get("content") if isinstance(document, dict) else None
    if isinstance(content, list) and b'"tool_use"' in body:
        for block, literal in zip(content, written.members_of(body, ("content",), ("input",)), strict=False):
            if isinstance(block, dict) and literal is not None:
                block["input"] = literal
    return document


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    document = object_of(document, "the response")
    if "content" not in document:
        raise NoAnswer("`content` is missing")
    used, said = _said(document["content"], tool=call.schema is not None)
    text = "\n".join(used) if used else said.text
    reasons = _REASONS | ({"tool_use": finish.WHOLE} if used else {})
    usage = checked(call, text, counted(document))
    return ModelAnswer(
        text=text,
        finish_reason=finish.ended(document.get("stop_reason"), reasons),
        model=name_of(document.get("model"), call.model),
        tokens_in=usage.given,
        tokens_cached=usage.cached,
        tokens_out=usage.answered,
        latency=latency,
        estimated=usage.estimated,
        noted=said.noted,
    )


def counted(document: Any) -> Counted:
    usage = document.get("usage") if isinstance(document, dict) else None
    if not isinstance(usage, dict):
        return Counted()
    cached, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    return Counted(
        given=added(usage.get("input_tokens"), cached, written), cached=cached, answered=usage.get("output_tokens")
    )


def _said(content: Any, *, tool: bool) -> tuple[list[str], Said]:
    """The inputs of the tool, as JSON, and what was said beside. Uses of tools that nobody offered are left out."""
    if not isinstance(content, list):
        return [], said_in(content)
    used, rest, others = [], [], []
    for block in content:
        if kind_of_part(block) != "tool_use":
            rest.append(block)
        elif tool and block.get("name", _TOOL) == _TOOL and "input" in block:
            used.append(written.as_text(block["input"]))
        else:
            others.append("tool_use")
    said = said_in(rest)
    return used, replace(said, noted=once((*said.noted, *others)))
