"""Implements the providers' wire formats on the server's side: how requests are read, and how answers and errors are
written. It does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from loom_ai.simulated.conversation import (
    SimulatedAnswer,
    SimulatedRequest,
    object_or_empty,
    question_in,
    schema_in_words,
    text_of,
    text_of_part,
)

_EFFORTS = {"none": 0, "minimal": 16, "low": 64, "medium": 256, "high": 1024}
"""The tokens of reasoning by the effort that is asked for."""


class Format(Protocol):
    """Represents the wire format of one provider."""

    key_header: str
    """The header that carries the API key."""

    def read_request(self, body: dict[str, Any], model: str) -> SimulatedRequest:
        """Read a request; `model` is the one in the path, where the provider puts it there."""
        ...

    def answer(self, call: SimulatedRequest, reply: SimulatedAnswer) -> dict[str, Any]:
        """Return the body of an answer."""
        ...

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        """Return the body of an error."""
        ...


class ChatCompletions:
    """Implements OpenAI's chat completions format, which most other providers use too."""

    key_header = "Authorization"

    def read_request(self, body: dict[str, Any], model: str) -> SimulatedRequest:
        turns = tuple(text_of(message["content"]) for message in body["messages"])
        form = body.get("response_format", {})
        schema = form["json_schema"]["schema"] if form.get("type") == "json_schema" else schema_in_words(turns)
        question = question_in((message["role"], message["content"]) for message in body["messages"])
        used = any(message["role"] == "tool" for message in body["messages"])
        offered = [each["function"] for each in body.get("tools", ()) if body.get("tool_choice") != "none" and not used]
        tool = (offered[0]["name"], offered[0]["parameters"]) if offered else None
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        return SimulatedRequest(
            body["model"],
            turns,
            question,
            schema,
            form.get("type"),
            limit,
            tool,
            seed=body.get("seed"),
            reasoning=_EFFORTS.get(body.get("reasoning_effort", "none"), 256),
            logprobs=body.get("logprobs") is True,
        )

    def answer(self, call: SimulatedRequest, reply: SimulatedAnswer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.refused:
            message = {"role": "assistant", "content": None, "refusal": reply.text}
        reason = "length" if reply.truncated else "stop"
        if call.tool and reply.arguments is not None:
            function = {"name": call.tool[0], "arguments": orjson.dumps(reply.arguments).decode()}
            used = {"id": f"call_{reply.number}", "type": "function", "function": function}
            message, reason = {"role": "assistant", "content": None, "tool_calls": [used]}, "tool_calls"
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
        if reply.logprobs:
            tokens = [{"token": text, "logprob": value, "bytes": list(text.encode())} for text, value in reply.logprobs]
            choice["logprobs"] = {"content": tokens}
        usage: dict[str, Any] = {
            "prompt_tokens": reply.tokens_in,
            "completion_tokens": reply.tokens_out,
            "total_tokens": reply.tokens_in + reply.tokens_out,
        }
        if call.reasoning:
            usage["completion_tokens_details"] = {"reasoning_tokens": call.reasoning}
        return {
            "id": f"simulated-{reply.number}",
            "object": "chat.completion",
            "model": call.model,
            "choices": [choice],
            "usage": usage,
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "code": code}}


class AnthropicMessages:
    """Implements the format of Anthropic's Messages API. A schema is the input schema of a tool whose use is forced."""

    key_header = "x-api-key"

    def read_request(self, body: dict[str, Any], model: str) -> SimulatedRequest:
        system = (text_of(body["system"]),) if body.get("system") else ()
        turns = (*system, *(text_of(message["content"]) for message in body["messages"]))
        choice = body.get("tool_choice", {}).get("type", "auto")
        named = {each["name"]: each["input_schema"] for each in body.get("tools", ())}
        held = named.pop("output", None) if choice in ("tool", "any") else None
        schema = held or schema_in_words(turns)
        used = any('"tool_result"' in turn for turn in turns)
        tool = next(iter(named.items()), None) if choice in ("auto", "any") and not used else None
        form = "json_schema" if held else None
        question = question_in((message["role"], message["content"]) for message in body["messages"])
        reasoning = body.get("thinking", {}).get("budget_tokens", 0)
        effort = body.get("output_config", {}).get("effort", "none")
        return SimulatedRequest(
            body["model"],
            turns,
            question,
            schema,
            form,
            body["max_tokens"],
            tool,
            reasoning=reasoning or _EFFORTS.get(effort, 256),
            marked=_marked(body),
        )

    def answer(self, call: SimulatedRequest, reply: SimulatedAnswer) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}]
        reason = "max_tokens" if reply.truncated else "refusal" if reply.refused else "end_turn"
        if call.form and not reply.truncated and not reply.refused:
            reason, used = "tool_use", object_or_empty(reply.text)
            content = [{"type": "tool_use", "id": f"toolu_{reply.number}", "name": "output", "input": used}]
        if call.tool and reply.arguments is not None:
            reason, used = "tool_use", dict(reply.arguments)
            content = [{"type": "tool_use", "id": f"toolu_{reply.number}", "name": call.tool[0], "input": used}]
        return {
            "id": f"msg_simulated_{reply.number}",
            "type": "message",
            "role": "assistant",
            "model": call.model,
            "content": content,
            "stop_reason": reason,
            "usage": {
                "input_tokens": reply.tokens_in - reply.cached - reply.written,
                "cache_read_input_tokens": reply.cached,
                "cache_creation_input_tokens": reply.written,
                "output_tokens": reply.tokens_out,
            },
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 400: code}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}


class GoogleContents:
    """Implements the format of Google's `generateContent`."""

    key_header = "x-goog-api-key"

    def read_request(self, body: dict[str, Any], model: str) -> SimulatedRequest:
        system = body.get("systemInstruction", {}).get("parts", [])
        parts = [*system, *(part for turn in body["contents"] for part in turn["parts"])]
        turns = tuple(map(text_of_part, parts))
        settings = body.get("generationConfig", {})
        schema = settings.get("responseSchema")
        as_json = settings.get("responseMimeType") == "application/json"
        form = "json_schema" if schema else "json_object" if as_json else None
        question = question_in((turn["role"], turn["parts"]) for turn in body["contents"])
        closed = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == "NONE"
        offered = [each for group in body.get("tools", ()) for each in group["functionDeclarations"]]
        used = closed or any("functionResponse" in part for part in parts)
        tool = None if used or not offered else (offered[0]["name"], offered[0].get("parameters", {}))
        thinking = settings.get("thinkingConfig", {})
        return SimulatedRequest(
            model,
            turns,
            question,
            schema or schema_in_words(turns),
            form,
            settings.get("maxOutputTokens"),
            tool,
            seed=settings.get("seed"),
            reasoning=thinking.get("thinkingBudget") or _EFFORTS.get(thinking.get("thinkingLevel", "none"), 256),
            logprobs=settings.get("responseLogprobs") is True,
        )

    def answer(self, call: SimulatedRequest, reply: SimulatedAnswer) -> dict[str, Any]:
        reason = "MAX_TOKENS" if reply.truncated else "SAFETY" if reply.refused else "STOP"
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": reply.text}]}}
        if reply.refused:
            candidate = {}
        if call.tool and reply.arguments is not None:
            used = {"functionCall": {"name": call.tool[0], "args": dict(reply.arguments)}}
            candidate, reason = {"content": {"role": "model", "parts": [used]}}, "STOP"
        if reply.logprobs:
            tokens = [{"token": text, "logProbability": value} for text, value in reply.logprobs]
            candidate["logprobsResult"] = {"chosenCandidates": tokens}
        return {
            "candidates": [{**candidate, "finishReason": reason, "index": 0}],
            "modelVersion": call.model,
            "usageMetadata": {
                "promptTokenCount": reply.tokens_in,
                "candidatesTokenCount": reply.tokens_out - call.reasoning,
                **({"thoughtsTokenCount": call.reasoning} if call.reasoning else {}),
                "totalTokenCount": reply.tokens_in + reply.tokens_out,
            },
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        words = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 400: "INVALID_ARGUMENT"}
        return {"error": {"code": status, "message": message, "status": words.get(status, "INTERNAL")}}


def _marked(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the beginnings of the conversation up to each mark for the cache."""
    said, marked = orjson.dumps(body.get("tools", [])).decode(), []
    if any("cache_control" in each for each in body.get("tools", ())):
        marked.append(said)
    for content in (body.get("system") or "", *(message["content"] for message in body["messages"])):
        said += text_of(content)
        if isinstance(content, list) and any("cache_control" in part for part in content):
            marked.append(said)
    return tuple(marked)
