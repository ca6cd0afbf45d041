"""The chat completions protocol, as values: a request's body, and what a response says. Pure.

Endpoints differ in how they can be held to a schema. Loom asks in the strongest `Form` an endpoint takes and
validates the answer whatever the form."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import orjson

from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall


class Form(StrEnum):
    """How an answer is asked for, strongest first."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    PLAIN = "plain"


def forms(call: ModelCall) -> tuple[Form, ...]:
    """The forms a call may take, strongest first."""
    return (Form.PLAIN,) if call.schema is None else tuple(Form)


def request_body(call: ModelCall, form: Form) -> bytes:
    """The JSON of a request."""
    messages = call.messages
    if call.schema is not None and form is not Form.JSON_SCHEMA:
        messages = (_schema_in_words(call), *messages)
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "temperature": call.temperature,
    }
    if call.max_tokens is not None:
        body[_limit_name(call.base_url)] = call.max_tokens
    if form is Form.JSON_SCHEMA:
        schema = {"name": "output", "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form is Form.JSON_OBJECT:
        body["response_format"] = {"type": "json_object"}
    return orjson.dumps(body)


def _schema_in_words(call: ModelCall) -> ChatMessage:
    schema = orjson.dumps(call.schema).decode()
    return ChatMessage(
        "system", f"Answer with one JSON object and nothing else. It must fit this JSON Schema: {schema}"
    )


def _limit_name(base_url: str) -> str:
    """OpenAI has renamed `max_tokens`, and newer models there refuse the old name; others know only the old one."""
    return "max_completion_tokens" if urlsplit(base_url).hostname == "api.openai.com" else "max_tokens"


def answer_of(body: bytes, call: ModelCall, latency: float) -> ModelAnswer:
    """What a response says. Raises `ValueError` where it is no chat completion."""
    try:
        document = orjson.loads(body)
        choice = document["choices"][0]
        message = choice["message"]
        usage = document.get("usage") or {}
        refused = message.get("refusal")
        return ModelAnswer(
            text=str(refused or message.get("content") or ""),
            finish_reason="refusal" if refused else str(choice.get("finish_reason") or "stop"),
            model=str(document.get("model") or call.model),
            tokens_in=int(usage.get("prompt_tokens") or 0),
            tokens_cached=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
            tokens_out=int(usage.get("completion_tokens") or 0),
            latency=latency,
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("the response is no chat completion") from error
