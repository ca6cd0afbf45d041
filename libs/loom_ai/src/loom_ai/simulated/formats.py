"""The providers' wire formats, seen from the server: what a request asks, and how an answer or an error is written.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

SCHEMA_IN_WORDS = "JSON Schema: "
"""What comes before a schema in the words of a system message, for endpoints that take none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    model: str
    turns: tuple[str, ...]
    """The texts of the conversation, the system's first."""
    question: str
    """The first words of the user."""
    schema: Mapping[str, Any] | None
    form: str | None
    """How the answer is to be held to a schema: `json_schema`, `json_object`; None for not at all."""
    max_tokens: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    text: str
    tokens_in: int
    tokens_out: int
    number: int
    truncated: bool = False
    refused: bool = False


class Format(Protocol):
    """One provider's."""

    key_header: str
    """Where a request carries its key."""

    def asked(self, body: dict[str, Any], model: str) -> Asked:
        """What a request asks; `model` is what its path names, where the provider's does."""
        ...

    def answer(self, asked: Asked, said: Said) -> dict[str, Any]:
        """The body of an answer."""
        ...

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        """The body of an error."""
        ...


class ChatCompletions:
    """OpenAI's, which most others speak."""

    key_header = "Authorization"

    def asked(self, body: dict[str, Any], model: str) -> Asked:
        turns = tuple(message["content"] for message in body["messages"])
        form = body.get("response_format", {})
        schema = form["json_schema"]["schema"] if form.get("type") == "json_schema" else in_words(turns)
        question = next(message["content"] for message in body["messages"] if message["role"] == "user")
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        return Asked(body["model"], turns, question, schema, form.get("type"), limit)

    def answer(self, asked: Asked, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.refused:
            message = {"role": "assistant", "content": None, "refusal": said.text}
        return {
            "id": f"simulated-{said.number}",
            "object": "chat.completion",
            "model": asked.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "length" if said.truncated else "stop"}],
            "usage": {
                "prompt_tokens": said.tokens_in,
                "completion_tokens": said.tokens_out,
                "total_tokens": said.tokens_in + said.tokens_out,
            },
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "code": code}}


class AnthropicMessages:
    """Anthropic's. A schema is the input of a tool that has to be used."""

    key_header = "x-api-key"

    def asked(self, body: dict[str, Any], model: str) -> Asked:
        system = (body["system"],) if body.get("system") else ()
        turns = (*system, *(message["content"] for message in body["messages"]))
        tool = body["tools"][0] if body.get("tool_choice", {}).get("type") == "tool" else None
        schema = tool["input_schema"] if tool else in_words(turns)
        form = "json_schema" if tool else None
        return Asked(body["model"], turns, body["messages"][0]["content"], schema, form, body["max_tokens"])

    def answer(self, asked: Asked, said: Said) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": said.text}]
        reason = "max_tokens" if said.truncated else "refusal" if said.refused else "end_turn"
        if asked.form and not said.truncated and not said.refused:
            reason, used = "tool_use", as_far_as_it_is_json(said.text)
            content = [{"type": "tool_use", "id": f"toolu_{said.number}", "name": "output", "input": used}]
        return {
            "id": f"msg_simulated_{said.number}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": content,
            "stop_reason": reason,
            "usage": {
                "input_tokens": said.tokens_in,
                "cache_read_input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "output_tokens": said.tokens_out,
            },
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 400: code}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}


class GoogleContents:
    """Google's `generateContent`."""

    key_header = "x-goog-api-key"

    def asked(self, body: dict[str, Any], model: str) -> Asked:
        system = body.get("systemInstruction", {}).get("parts", [])
        turns = tuple(part["text"] for part in [*system, *(p for turn in body["contents"] for p in turn["parts"])])
        settings = body.get("generationConfig", {})
        schema = settings.get("responseSchema")
        as_json = settings.get("responseMimeType") == "application/json"
        form = "json_schema" if schema else "json_object" if as_json else None
        question = body["contents"][0]["parts"][0]["text"]
        return Asked(model, turns, question, schema or in_words(turns), form, settings.get("maxOutputTokens"))

    def answer(self, asked: Asked, said: Said) -> dict[str, Any]:
        reason = "MAX_TOKENS" if said.truncated else "SAFETY" if said.refused else "STOP"
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": said.text}]}}
        if said.refused:
            candidate = {}
        return {
            "candidates": [{**candidate, "finishReason": reason, "index": 0}],
            "modelVersion": asked.model,
            "usageMetadata": {
                "promptTokenCount": said.tokens_in,
                "candidatesTokenCount": said.tokens_out,
                "totalTokenCount": said.tokens_in + said.tokens_out,
            },
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        words = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT"}
        return {"error": {"code": status, "message": message, "status": words.get(status, "INTERNAL")}}


def in_words(turns: tuple[str, ...]) -> dict[str, Any] | None:
    """The schema that a system message describes, for endpoints that take none."""
    for turn in turns:
        if SCHEMA_IN_WORDS in turn:
            schema: dict[str, Any] = orjson.loads(turn.split(SCHEMA_IN_WORDS, 1)[1])
            return schema
    return None


def as_far_as_it_is_json(text: str) -> dict[str, Any]:
    """A tool's input is always JSON: what a model writes badly arrives as an input that lacks something."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
