"""Wire formats that Loom reaches through its adapter library, seen from the server. Pure."""

from __future__ import annotations

from typing import Any

from loom_ai.simulated.formats import Asked, Said, as_far_as_it_is_json, in_words


class CohereChat:
    """Cohere's v2 chat. A schema is the parameters of a tool."""

    key_header = "Authorization"

    def asked(self, body: dict[str, Any], model: str) -> Asked:
        turns = tuple(_text(message["content"]) for message in body["messages"])
        question = next(_text(message["content"]) for message in body["messages"] if message["role"] == "user")
        tool = body["tools"][0]["function"] if body.get("tools") else None
        schema = tool["parameters"] if tool else in_words(turns)
        return Asked(body["model"], turns, question, schema, "json_schema" if tool else None, body.get("max_tokens"))

    def answer(self, asked: Asked, said: Said) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": said.text}]}
        reason = "MAX_TOKENS" if said.truncated else "COMPLETE"
        if asked.form and not said.truncated and not said.refused:
            function = {"name": "output", "arguments": said.text}
            message = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
            reason = "TOOL_CALL"
        counted = {"input_tokens": said.tokens_in, "output_tokens": said.tokens_out}
        wrapped = {"input_tokens": said.tokens_in + 60, "output_tokens": said.tokens_out + 2}
        usage = {"billed_units": counted, "tokens": wrapped}
        return {"id": f"simulated-{said.number}", "finish_reason": reason, "message": message, "usage": usage}

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        return {"message": message}


class BedrockConverse:
    """Bedrock's Converse. A schema is the input of a tool that has to be used."""

    key_header = "Authorization"

    def asked(self, body: dict[str, Any], model: str) -> Asked:
        said = [*body.get("system", []), *(part for turn in body["messages"] for part in turn["content"])]
        question = body["messages"][0]["content"][0]["text"]
        turns = tuple(part["text"] for part in said)
        tools = body.get("toolConfig", {}).get("tools")
        schema = tools[0]["toolSpec"]["inputSchema"]["json"] if tools else in_words(turns)
        limit = body.get("inferenceConfig", {}).get("maxTokens")
        return Asked(model, turns, question, schema, "json_schema" if tools else None, limit)

    def answer(self, asked: Asked, said: Said) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"text": said.text}]
        reason = "max_tokens" if said.truncated else "content_filtered" if said.refused else "end_turn"
        if asked.form and not said.truncated and not said.refused:
            used = {"toolUseId": f"use_{said.number}", "name": "output", "input": as_far_as_it_is_json(said.text)}
            content, reason = [{"toolUse": used}], "tool_use"
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": reason,
            "usage": {
                "inputTokens": said.tokens_in,
                "outputTokens": said.tokens_out,
                "totalTokens": said.tokens_in + said.tokens_out,
            },
            "metrics": {"latencyMs": 1},
        }

    def error(self, status: int, message: str, code: str) -> dict[str, Any]:
        kinds = {400: "ValidationException", 404: "ResourceNotFoundException", 429: "ThrottlingException"}
        return {"message": message, "__type": kinds.get(status, "InternalServerException")}


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
