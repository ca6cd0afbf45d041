"""Implements Anthropic's Messages API.

To hold an answer to a JSON schema, the request offers one tool and forces its use; the tool's input is the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish, written
from loom_ai.wire.answer import answer_from
from loom_ai.wire.document import NoAnswer, object_in, object_of
from loom_ai.wire.form import ALL_ACCEPTED, AcceptedParameters, Form, encoded_request, messages_with_schema
from loom_ai.wire.parts import MessageText, distinct_kinds, kind_of_part, message_text
from loom_ai.wire.usage import ReportedUsage, sum_of_counts

VERSION = "2023-06-01"
LONGEST = 4096
"""The `max_tokens` of a request whose pipeline names none. This protocol requires the field."""
_TOOL = "output"
_REASONS = {
    **dict.fromkeys(("end_turn", "stop_sequence"), finish.WHOLE),
    "max_tokens": finish.CUT_OFF,
    "refusal": finish.REFUSED,
    "model_context_window_exceeded": finish.BEYOND_WINDOW,
    "pause_turn": "pause_turn",
}
"""Anthropic's `stop_reason` values and Loom's finish reasons for them. `tool_use` is added where the tool is Loom's
own."""


def forms(call: ModelCall) -> tuple[Form, ...]:
    return (Form.PLAIN,) if call.schema is None else (Form.JSON_SCHEMA, Form.PLAIN)


def url(base_url: str, _model: str) -> str:
    """Return the address of the Messages API. A `base_url` without the version gets `/v1` appended."""
    return f"{base_url if base_url.endswith('/v1') else f'{base_url}/v1'}/messages"


def headers(secret: str | None) -> dict[str, str]:
    return {"anthropic-version": VERSION, **({"x-api-key": secret} if secret else {})}


def limits(_base_url: str) -> tuple[str, ...]:
    return ("max_tokens",)


def request_body(call: ModelCall, form: Form, accepted: AcceptedParameters = ALL_ACCEPTED) -> bytes:
    messages = messages_with_schema(call, form)
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
    if call.temperature is not None and accepted.temperature:
        body["temperature"] = call.temperature
    if form is Form.JSON_SCHEMA:
        body["tools"] = [{"name": _TOOL, "description": "Gives the answer.", "input_schema": call.schema}]
        body["tool_choice"] = {"type": "tool", "name": _TOOL, "disable_parallel_tool_use": True}
    return encoded_request(body, call, body)


def parsed(body: bytes) -> Any:
    """Return the response as a document. A tool's input is the answer itself, so it is kept as the text that was sent.
    Raises `NoAnswer`."""
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
    used, found = _message_text(document["content"], tool=call.schema is not None)
    text = "\n".join(used) if used else found.text
    reasons = _REASONS | ({"tool_use": finish.WHOLE} if used else {})
    reason = finish.finish_reason_of(document.get("stop_reason"), reasons)
    return answer_from(call, replace(found, text=text), reason, counted(document), latency, document.get("model"))


def counted(document: Any) -> ReportedUsage:
    usage = object_in(document, "usage")
    if usage is None:
        return ReportedUsage()
    cached, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    return ReportedUsage(
        given=sum_of_counts(usage.get("input_tokens"), cached, written),
        cached=cached,
        answered=usage.get("output_tokens"),
    )


def _message_text(content: Any, *, tool: bool) -> tuple[list[str], MessageText]:
    """Return the inputs of Loom's tool as JSON texts, and the text beside them. Uses of other tools are left out and
    noted."""
    if not isinstance(content, list):
        return [], message_text(content)
    used, rest, others = [], [], []
    for block in content:
        if kind_of_part(block) != "tool_use":
            rest.append(block)
        elif tool and block.get("name", _TOOL) == _TOOL and "input" in block:
            used.append(written.as_text(block["input"]))
        else:
            others.append("tool_use")
    found = message_text(rest)
    return used, replace(found, noted=distinct_kinds((*found.noted, *others)))
