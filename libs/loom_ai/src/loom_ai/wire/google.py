"""Google's `generateContent`. Its `responseSchema` knows a part of JSON Schema; where that is not enough, the schema
goes in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish
from loom_ai.wire.document import NoAnswer, first_of, kind_of, name_of, object_of
from loom_ai.wire.form import USUAL, Form, Manner, described, merged
from loom_ai.wire.parts import Said, once, text_in
from loom_ai.wire.usage import Counted, added, checked

_ROLES = {"user": "user", "assistant": "model"}
_REASONS = {
    "stop": finish.WHOLE,
    "max_tokens": finish.CUT_OFF,
    "malformed_function_call": "malformed_function_call",
    **dict.fromkeys(
        ("safety", "recitation", "blocklist", "prohibited_content", "spii", "language", "image_safety"), finish.REFUSED
    ),
}
"""Its words for how an answer ended, in small letters."""
_KEPT = frozenset(
    """description enum format items maxItems maxLength maximum minItems minLength minimum nullable pattern properties
    required title type anyOf""".split()  # noqa: SIM905 - reads better than fifteen quotes
)
_DROPPED = frozenset({"$schema", "$defs", "additionalProperties", "default", "examples", "uniqueItems"})
"""What it does not know, and what an answer is validated for all the same."""
_DEEPEST = 20


parsed = documents.parsed


def forms(call: ModelCall) -> tuple[Form, ...]:
    if call.schema is None:
        return (Form.PLAIN,)
    return tuple(Form) if response_schema(call.schema) is not None else (Form.JSON_OBJECT, Form.PLAIN)


def url(base_url: str, model: str) -> str:
    return f"{base_url}/models/{quote(model, safe='-._')}:generateContent"


def headers(secret: str | None) -> dict[str, str]:
    return {"x-goog-api-key": secret} if secret else {}


def limits(_base_url: str) -> tuple[str, ...]:
    return ("maxOutputTokens",)


def request_body(call: ModelCall, form: Form, manner: Manner = USUAL) -> bytes:
    messages = described(call, form)
    settings: dict[str, Any] = {}
    if call.temperature is not None and manner.temperature:
        settings["temperature"] = call.temperature
    if call.max_tokens is not None:
        settings["maxOutputTokens"] = call.max_tokens
    if form is not Form.PLAIN:
        settings["responseMimeType"] = "application/json"
    if form is Form.JSON_SCHEMA:
        settings["responseSchema"] = response_schema(call.schema or {})
    body: dict[str, Any] = {
        "contents": [
            {"role": _ROLES[message.role], "parts": [{"text": message.content}]}
            for message in messages
            if message.role != "system"
        ],
        "generationConfig": settings,
    }
    system = [{"text": message.content} for message in messages if message.role == "system"]
    if system:
        body["systemInstruction"] = {"parts": system}
    return merged(body, call, settings)


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    document = object_of(document, "the response")
    candidates = document.get("candidates")
    if not candidates and isinstance(document.get("promptFeedback"), dict):
        said, reason = Said(), finish.REFUSED
    else:
        candidate = first_of(candidates, "`candidates`")
        said = _said(candidate.get("content"))
        reason = finish.ended(candidate.get("finishReason"), _REASONS)
    usage = checked(call, said.text, counted(document))
    return ModelAnswer(
        text=said.text,
        finish_reason=reason,
        model=name_of(document.get("modelVersion"), call.model),
        tokens_in=usage.given,
        tokens_cached=usage.cached,
        tokens_out=usage.answered,
        latency=latency,
        estimated=usage.estimated,
        noted=said.noted,
    )


def counted(document: Any) -> Counted:
    usage = document.get("usageMetadata") if isinstance(document, dict) else None
    if not isinstance(usage, dict):
        return Counted()
    return Counted(
        given=usage.get("promptTokenCount"),
        cached=usage.get("cachedContentTokenCount"),
        answered=added(usage.get("candidatesTokenCount", 0), usage.get("thoughtsTokenCount")),
        total=usage.get("totalTokenCount"),
    )


def _said(content: Any) -> Said:
    """The texts of a candidate's parts. A part's kind is the name of its field. Raises `NoAnswer`."""
    if content is None:
        return Said()
    parts = object_of(content, "`content`").get("parts")
    if parts is None:
        return Said()
    if not isinstance(parts, list):
        raise NoAnswer(f"`parts` is {kind_of(parts)}, not a list")
    texts, noted = [], []
    for each in parts:
        part = object_of(each, "a part")
        if part.get("thought"):
            continue
        if "text" in part:
            texts.append(text_in(part, "text"))
        else:
            noted.append(next((str(name) for name in part if name != "thoughtSignature"), "empty"))
    return Said("".join(texts), None, once(noted))


def response_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in the words this protocol knows; None where they do not suffice."""
    try:
        return _converted(schema, schema.get("$defs", {}), 0)
    except (LookupError, TypeError, ValueError):
        return None


def _converted(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ValueError("a schema that contains itself")
    if "$ref" in schema:
        return _converted(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions, depth + 1)
    if unknown := schema.keys() - _KEPT - _DROPPED - {"const"}:
        raise ValueError(str(unknown))
    kept = {name: value for name, value in schema.items() if name in _KEPT}
    if "const" in schema:
        kept["enum"] = [schema["const"]]
    if "enum" in kept:
        kept["type"] = "string" if all(isinstance(each, str) for each in kept["enum"]) else _no_such_enum()
    elif isinstance(kept.get("type"), list):
        (kept["type"],) = [each for each in kept["type"] if each != "null"]
        kept["nullable"] = True
    if "items" in kept:
        kept["items"] = _converted(kept["items"], definitions, depth + 1)
    if "anyOf" in kept:
        kept["anyOf"] = [_converted(each, definitions, depth + 1) for each in kept["anyOf"]]
    if "properties" in kept:
        kept["properties"] = {
            name: _converted(each, definitions, depth + 1) for name, each in kept["properties"].items()
        }
    return kept


def _no_such_enum() -> str:
    raise ValueError("an enum of other values than text")
