"""Implements further wire formats on the server's side: of the providers that Loom calls through its adapter library,
and of embeddings. It does no I/O."""

from __future__ import annotations

from typing import Any

from loom_ai.simulated.answers import vector_for
from loom_ai.simulated.conversation import (
    SimulatedAnswer,
    SimulatedRequest,
    object_or_empty,
    question_in,
    schema_in_words,
)


class CohereChat:
    """Implements the format of Cohere's v2 chat. A schema is the parameters of a tool."""

    key_header = "Authorization"

    def read_request(self, body: dict[str, Any], model: str) -> SimulatedRequest:
        turns = tuple(_text(message["content"]) for message in body["messages"])
        question = question_in((message["role"], message["content"]) for message in body["messages"])
        tool = body["tools"][0]["function"] if body.get("tools") else None
        schema = tool["parameters"] if tool else schema_in_words(turns)
        return SimulatedRequest(
            body["model"], turns, question, schema, "json_schema" if tool else None, body.get("max_tokens")
        )

    def answer(self, call: SimulatedRequest, reply: SimulatedAnswer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": reply.text}]}
        reason = "MAX_TOKENS" if reply.truncated else "COMPLETE"
        if call.form and not reply.truncated and not reply.refused:
            function = {"name": "output", "arguments": reply.text}
            message = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
            reason = "TOOL_CALL"
        counted = {"input_tokens": reply.tokens_in, "output_tokens": reply.tokens_out}
        wrapped = {"input_tokens": reply.tokens_in + 60, "output_tokens": reply.tokens_out + 2}
        usage = {"billed_units": counted, "tokens": wrapped}
        return {"id": f"simulated-{reply.number}", "finish_reason": reason, "message": message, "usage": usage}

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"message": message}


class BedrockConverse:
    """Implements the format of Bedrock's Converse. A schema is the input schema of a tool whose use is forced."""

    key_header = "Authorization"

    def read_request(self, body: dict[str, Any], model: str) -> SimulatedRequest:
        reply = [*body.get("system", []), *(part for turn in body["messages"] for part in turn["content"])]
        question = question_in((message["role"], message["content"]) for message in body["messages"])
        turns = tuple(part["text"] for part in reply)
        tools = body.get("toolConfig", {}).get("tools")
        schema = tools[0]["toolSpec"]["inputSchema"]["json"] if tools else schema_in_words(turns)
        limit = body.get("inferenceConfig", {}).get("maxTokens")
        return SimulatedRequest(model, turns, question, schema, "json_schema" if tools else None, limit)

    def answer(self, call: SimulatedRequest, reply: SimulatedAnswer) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"text": reply.text}]
        reason = "max_tokens" if reply.truncated else "content_filtered" if reply.refused else "end_turn"
        if call.form and not reply.truncated and not reply.refused:
            used = {"toolUseId": f"use_{reply.number}", "name": "output", "input": object_or_empty(reply.text)}
            content, reason = [{"toolUse": used}], "tool_use"
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": reason,
            "usage": {
                "inputTokens": reply.tokens_in,
                "outputTokens": reply.tokens_out,
                "totalTokens": reply.tokens_in + reply.tokens_out,
            },
            "metrics": {"latencyMs": 1},
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        kinds = {400: "ValidationException", 404: "ResourceNotFoundException", 429: "ThrottlingException"}
        return {"message": message, "__type": kinds.get(status, "InternalServerException")}


class Embeddings:
    """Implements OpenAI's format of embeddings. A vector depends on its text only."""

    key_header = "Authorization"

    def read_request(self, body: dict[str, Any], model: str) -> SimulatedRequest:
        texts = tuple(body["input"])
        length = {"type": "integer", "const": body.get("dimensions", 8)}
        return SimulatedRequest(body["model"], texts, texts[0], length, "vectors", None)

    def answer(self, call: SimulatedRequest, reply: SimulatedAnswer) -> dict[str, Any]:
        length = int((call.schema or {})["const"])
        rows = [
            {"object": "embedding", "index": at, "embedding": vector_for(text, length)}
            for at, text in enumerate(call.turns)
        ]
        usage = {"prompt_tokens": reply.tokens_in, "total_tokens": reply.tokens_in}
        return {"object": "list", "data": rows[::-1], "model": call.model, "usage": usage}

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "code": code}}


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
