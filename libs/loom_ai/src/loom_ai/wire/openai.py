"""Chat completions: OpenAI's protocol, which most others speak."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import orjson

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire.form import Form, described


def forms(call: ModelCall) -> tuple[Form, ...]:
    return (Form.PLAIN,) if call.schema is None else tuple(Form)


def url(base_url: str, _model: str) -> str:
    return f"{base_url}/chat/completions"


def headers(secret: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} if secret else {}


def request_body(call: ModelCall, form: Form) -> bytes:
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [{"role": message.role, "content": message.content} for message in described(call, form)],
    }
    if call.temperature is not None:
        body["temperature"] = call.temperature
    if call.max_tokens is not None:
        body[_limit_name(call.base_url)] = call.max_tokens
    if form is Form.JSON_SCHEMA:
        schema = {"name": "output", "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form is Form.JSON_OBJECT:
        body["response_format"] = {"type": "json_object"}
    return orjson.dumps(body)


def _limit_name(base_url: str) -> str:
    """OpenAI has renamed `max_tokens`, and newer models there refuse the old name; others know only the old one."""
    return "max_completion_tokens" if urlsplit(base_url).hostname == "api.openai.com" else "max_tokens"


def answer_of(body: bytes, call: ModelCall, latency: float) -> ModelAnswer:
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
