"""Google's `generateContent`. Its `responseSchema` knows a part of JSON Schema; where that is not enough, the schema
goes in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire.form import Form, described

_ROLES = {"user": "user", "assistant": "model"}
_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"}
_REFUSED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "OTHER"})
_KEPT = frozenset(
    """description enum format items maxItems maxLength maximum minItems minLength minimum nullable pattern properties
    required title type anyOf""".split()  # noqa: SIM905 - reads better than fifteen quotes
)
_DROPPED = frozenset({"$schema", "$defs", "additionalProperties", "default", "examples", "uniqueItems"})
"""What it does not know, and what an answer is validated for all the same."""
_DEEPEST = 20


def forms(call: ModelCall) -> tuple[Form, ...]:
    if call.schema is None:
        return (Form.PLAIN,)
    return tuple(Form) if response_schema(call.schema) is not None else (Form.JSON_OBJECT, Form.PLAIN)


def url(base_url: str, model: str) -> str:
    return f"{base_url}/models/{quote(model, safe='-._')}:generateContent"


def headers(secret: str | None) -> dict[str, str]:
    return {"x-goog-api-key": secret} if secret else {}


def request_body(call: ModelCall, form: Form) -> bytes:
    messages = described(call, form)
    settings: dict[str, Any] = {}
    if call.temperature is not None:
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
    return orjson.dumps(body)


def answer_of(body: bytes, call: ModelCall, latency: float) -> ModelAnswer:
    try:
        document = orjson.loads(body)
        usage = document.get("usageMetadata") or {}
        if "candidates" not in document and "promptFeedback" not in document:
            raise KeyError("candidates")
        candidate = (document.get("candidates") or [{"finishReason": "SAFETY"}])[0]
        reason = str(candidate.get("finishReason") or "STOP")
        parts = (candidate.get("content") or {}).get("parts") or []
        return ModelAnswer(
            text="".join(part.get("text", "") for part in parts if not part.get("thought")),
            finish_reason="refusal" if reason in _REFUSED else _REASONS.get(reason, reason.lower()),
            model=str(document.get("modelVersion") or call.model),
            tokens_in=int(usage.get("promptTokenCount") or 0),
            tokens_cached=int(usage.get("cachedContentTokenCount") or 0),
            tokens_out=int(usage.get("candidatesTokenCount") or 0) + int(usage.get("thoughtsTokenCount") or 0),
            latency=latency,
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("the response is no answer of this protocol") from error


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
