"""Implements OpenAI's chat completions API, which most other providers offer too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from loom_ai.attachments.parts import openai_content
from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish, tool_turns
from loom_ai.wire.answer import answer_from, given_logprobs
from loom_ai.wire.document import NoAnswer, first_of, kind_of, object_in, object_of
from loom_ai.wire.form import ALL_ACCEPTED, AcceptedParameters, Form, encoded_request, messages_with_schema, seed_of
from loom_ai.wire.parts import MessageText, message_text, text_in
from loom_ai.wire.usage import ReportedUsage

_REASONS = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence"), finish.WHOLE),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens"), finish.CUT_OFF),
    **dict.fromkeys(("model_length", "context_length", "context_length_exceeded"), finish.BEYOND_WINDOW),
    **dict.fromkeys(("content_filter", "safety"), finish.FILTERED),
    "refusal": finish.REFUSED,
}
"""Holds the `finish_reason` values of endpoints with this protocol, and Loom's finish reasons for them."""

_WITHOUT_SCHEMA = (Form.PLAIN,)
_WITH_SCHEMA = tuple(Form)

parsed = documents.parsed


def forms(call: ModelCall) -> tuple[Form, ...]:
    return _WITHOUT_SCHEMA if call.schema is None else _WITH_SCHEMA


def url(base_url: str, _model: str) -> str:
    return f"{base_url}/chat/completions"


def headers(secret: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} if secret else {}


def limits(base_url: str) -> tuple[str, ...]:
    """Return the names of the token limit. OpenAI's newer models refuse `max_tokens`; most other endpoints know nothing
    else."""
    names = ("max_tokens", "max_completion_tokens")
    return names[::-1] if urlsplit(base_url).hostname == "api.openai.com" else names


def request_body(call: ModelCall, form: Form, accepted: AcceptedParameters = ALL_ACCEPTED) -> bytes:
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [turn for message in messages_with_schema(call, form) for turn in _turns(message)],
    }
    if call.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in call.tools
        ]
    if call.tools_closed:
        body["tool_choice"] = "none"
    if call.temperature is not None and accepted.temperature:
        body["temperature"] = call.temperature
    body |= _asking(call)
    if call.max_tokens is not None:
        body[accepted.limit or limits(call.base_url)[0]] = call.max_tokens
    if form is Form.JSON_SCHEMA:
        schema = {"name": "output", "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form is Form.JSON_OBJECT:
        body["response_format"] = {"type": "json_object"}
    return encoded_request(body, call, body)


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    document = object_of(document, "the response")
    choice = first_of(document.get("choices"), "`choices`")
    message = object_of(choice.get("message"), "`message`")
    if call.tools and (asked := message.get("tool_calls")):
        found = MessageText(tool_turns.use_text(_uses(asked), _turn(message, asked)))
        return answer_from(call, found, finish.TOOLS, counted(document), latency, document.get("model"))
    found = message_text(message.get("content"))
    refused = message.get("refusal") or found.refused
    text = refused if isinstance(refused, str) else found.text
    reason = finish.REFUSED if refused else finish.finish_reason_of(choice.get("finish_reason"), _REASONS)
    said = found if text is found.text else replace(found, text=text)
    tokens = given_logprobs(object_in(choice, "logprobs"), "content", "logprob") if call.asking.logprobs else None
    return answer_from(call, said, reason, counted(document), latency, document.get("model"), tokens)


def _asking(call: ModelCall) -> dict[str, Any]:
    """Return the parameters of how the model is asked. Mistral has another name for the seed. OpenAI sends questions
    with one key to the same machines, where their common beginning is kept; other endpoints do not know the key."""
    asking, body = call.asking, dict[str, Any]()
    if asking.seed is not None:
        body["random_seed" if call.provider == "mistral" else "seed"] = seed_of(call)
    if asking.effort is not None:
        body["reasoning_effort"] = asking.effort
    if asking.logprobs:
        body["logprobs"] = True
    if asking.cache_prompt and call.turns_alike and urlsplit(call.base_url).hostname == "api.openai.com":
        alike = "\n".join(message.content for message in call.messages[: call.turns_alike])
        body["prompt_cache_key"] = f"loom-{hashlib.sha256(alike.encode()).hexdigest()[:32]}"
    return body


def _turns(message: ChatMessage) -> list[dict[str, Any]]:
    if message.role == tool_turns.USE:
        return [tool_turns.turn_in(message)]
    if message.role == tool_turns.RESULT:
        results = tool_turns.results_in(message)
        return [{"role": "tool", "tool_call_id": result.id, "content": result.text} for result in results]
    return [{"role": message.role, "content": openai_content(message)}]


def _turn(message: Mapping[str, Any], asked: Any) -> dict[str, Any]:
    kept = {name: message[name] for name in ("reasoning_content",) if name in message}  # some demand it back
    return {"role": "assistant", "content": message.get("content"), "tool_calls": asked, **kept}


def _uses(asked: Any) -> list[tool_turns.ToolUse]:
    """Return the uses of tools in a response. Raises `NoAnswer`."""
    if not isinstance(asked, list):
        raise NoAnswer(f"`tool_calls` is {kind_of(asked)}, not a list")
    uses = []
    for each in asked:
        function = object_of(object_of(each, "a tool call").get("function"), "the `function` of a tool call")
        name, own = text_in(function, "name"), each.get("id")
        uses.append(tool_turns.ToolUse(str(own), name, tool_turns.arguments_of(function.get("arguments"))))
    return uses


def counted(document: Any) -> ReportedUsage:
    usage = object_in(document, "usage")
    if usage is None:
        return ReportedUsage()
    given, answered = object_in(usage, "prompt_tokens_details"), object_in(usage, "completion_tokens_details")
    return ReportedUsage(
        given=usage.get("prompt_tokens"),
        cached=given.get("cached_tokens") if given else None,
        answered=usage.get("completion_tokens"),
        total=usage.get("total_tokens"),
        reasoning=answered.get("reasoning_tokens") if answered else None,
        audio=given.get("audio_tokens") if given else None,
        image=given.get("image_tokens") if given else None,
    )
