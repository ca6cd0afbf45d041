"""Chat completions: OpenAI's protocol, which most others speak."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish
from loom_ai.wire.document import first_of, name_of, object_of
from loom_ai.wire.form import USUAL, Form, Manner, described, merged
from loom_ai.wire.parts import said_in
from loom_ai.wire.usage import Counted, checked

_REASONS = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence"), finish.WHOLE),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens"), finish.CUT_OFF),
    **dict.fromkeys(("model_length", "context_length", "context_length_exceeded"), finish.BEYOND_WINDOW),
    **dict.fromkeys(("content_filter", "safety"), finish.FILTERED),
    "refusal": finish.REFUSED,
}
"""The words of those who speak this protocol for how an answer ended."""


parsed = documents.parsed


def forms(call: ModelCall) -> tuple[Form, ...]:
    return (Form.PLAIN,) if call.schema is None else tuple(Form)


def url(base_url: str, _model: str) -> str:
    return f"{base_url}/chat/completions"


def headers(secret: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} if secret else {}


def limits(base_url: str) -> tuple[str, ...]:
    """OpenAI has renamed `max_tokens`, and newer models refuse the old name; most others know only the old one."""
    names = ("max_tokens", "max_completion_tokens")
    return names[::-1] if urlsplit(base_url).hostname == "api.openai.com" else names


def request_body(call: ModelCall, form: Form, manner: Manner = USUAL) -> bytes:
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [{"role": message.role, "content": message.content} for message in described(call, form)],
    }
    if call.temperature is not None and manner.temperature:
        body["temperature"] = call.temperature
    if call.max_tokens is not None:
        body[manner.limit or limits(call.base_url)[0]] = call.max_tokens
    if form is Form.JSON_SCHEMA:
        schema = {"name": "output", "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form is Form.JSON_OBJECT:
        body["response_format"] = {"type": "json_object"}
    return merged(body, call, body)


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    document = object_of(document, "the response")
    choice = first_of(document.get("choices"), "`choices`")
    message = object_of(choice.get("message"), "`message`")
    said = said_in(message.get("content"))
    refused = message.get("refusal") or said.refused
    text = refused if isinstance(refused, str) else said.text
    usage = checked(call, text, counted(document))
    return ModelAnswer(
        text=text,
        finish_reason=finish.REFUSED if refused else finish.ended(choice.get("finish_reason"), _REASONS),
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
    given, answered = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Counted(
        given=usage.get("prompt_tokens"),
        cached=given.get("cached_tokens") if isinstance(given, dict) else None,
        answered=usage.get("completion_tokens"),
        total=usage.get("total_tokens"),
        reasoning=answered.get("reasoning_tokens") if isinstance(answered, dict) else None,
    )
