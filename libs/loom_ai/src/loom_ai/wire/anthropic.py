"""Anthropic's messages. A schema is held to by a tool that has to be used: its input is the answer."""

from __future__ import annotations

from typing import Any

import orjson

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire.form import Form, described

VERSION = "2023-06-01"
LONGEST = 4096
"""Tokens of an answer where the pipeline names no `max_tokens`: this protocol wants a number."""
_TOOL = "output"
_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "stop", "max_tokens": "length"}
"""Its words for why an answer ended, as the words that Loom uses."""


def forms(call: ModelCall) -> tuple[Form, ...]:
    return (Form.PLAIN,) if call.schema is None else (Form.JSON_SCHEMA, Form.PLAIN)


def url(base_url: str, _model: str) -> str:
    """The address is often named without its version."""
    return f"{base_url if base_url.endswith('/v1') else f'{base_url}/v1'}/messages"


def headers(secret: str | None) -> dict[str, str]:
    return {"anthropic-version": VERSION, **({"x-api-key": secret} if secret else {})}


def request_body(call: ModelCall, form: Form) -> bytes:
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
    if call.temperature is not None:
        body["temperature"] = call.temperature
    if form is Form.JSON_SCHEMA:
        body["tools"] = [{"name": _TOOL, "description": "Gives the answer.", "input_schema": call.schema}]
        body["tool_choice"] = {"type": "tool", "name": _TOOL, "disable_parallel_tool_use": True}
    return orjson.dumps(body)


def answer_of(body: bytes, call: ModelCall, latency: float) -> ModelAnswer:
    try:
        document = orjson.loads(body)
        usage = document["usage"]
        reason = str(document.get("stop_reason") or "end_turn")
        cached = int(usage.get("cache_read_input_tokens") or 0)
        written = int(usage.get("cache_creation_input_tokens") or 0)
        return ModelAnswer(
            text=_text(document["content"]),
            finish_reason=_REASONS.get(reason, reason),
            model=str(document.get("model") or call.model),
            tokens_in=int(usage.get("input_tokens") or 0) + cached + written,
            tokens_cached=cached,
            tokens_out=int(usage.get("output_tokens") or 0),
            latency=latency,
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("the response is no message of this protocol") from error


def _text(content: list[dict[str, Any]]) -> str:
    """The tool's input where there is one, else the text."""
    for block in content:
        if block["type"] == "tool_use":
            return orjson.dumps(block["input"]).decode()
    return "".join(block["text"] for block in content if block["type"] == "text")
