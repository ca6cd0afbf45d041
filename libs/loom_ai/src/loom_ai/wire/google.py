"""Implements Google's `generateContent` API.

Its `responseSchema` covers a part of JSON Schema. A schema that needs more is described in a system message instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from loom_ai.attachments.parts import google_parts
from loom_ai.ports import ChatMessage, ModelAnswer, ModelCall, ToolSpec
from loom_ai.wire import document as documents
from loom_ai.wire import finish, tool_turns
from loom_ai.wire.answer import answer_from, given_logprobs
from loom_ai.wire.document import NoAnswer, first_of, kind_of, object_in, object_of
from loom_ai.wire.form import ALL_ACCEPTED, AcceptedParameters, Form, encoded_request, messages_with_schema, seed_of
from loom_ai.wire.parts import MessageText, distinct_kinds, text_in
from loom_ai.wire.tool_turns import arguments_of
from loom_ai.wire.usage import ReportedUsage, sum_of_counts, whole_number

_ROLES = {"user": "user", "assistant": "model"}
_REASONS = {
    "stop": finish.WHOLE,
    "max_tokens": finish.CUT_OFF,
    "malformed_function_call": "malformed_function_call",
    **dict.fromkeys(
        ("safety", "recitation", "blocklist", "prohibited_content", "spii", "language", "image_safety"), finish.REFUSED
    ),
}
"""Google's `finishReason` values, in lower case, and Loom's finish reasons for them."""
_KEPT = frozenset(
    """description enum format items maxItems maxLength maximum minItems minLength minimum nullable pattern properties
    required title type anyOf""".split()  # noqa: SIM905 - reads better than fifteen quotes
)
_DROPPED = frozenset({"$schema", "$defs", "additionalProperties", "default", "examples", "uniqueItems"})
"""Keywords that `responseSchema` does not have. They can be left out of it, because Loom validates the answer
anyway."""
_DEEPEST = 20


parsed = documents.parsed


def forms(call: ModelCall) -> tuple[Form, ...]:
    if call.schema is None or call.tools:  # an answer is not held to a schema beside tools
        return (Form.PLAIN,)
    return tuple(Form) if response_schema(call.schema) is not None else (Form.JSON_OBJECT, Form.PLAIN)


def url(base_url: str, model: str) -> str:
    return f"{base_url}/models/{quote(model, safe='-._')}:generateContent"


def headers(secret: str | None) -> dict[str, str]:
    return {"x-goog-api-key": secret} if secret else {}


def limits(_base_url: str) -> tuple[str, ...]:
    return ("maxOutputTokens",)


def request_body(call: ModelCall, form: Form, accepted: AcceptedParameters = ALL_ACCEPTED) -> bytes:
    messages = messages_with_schema(call, form)
    settings: dict[str, Any] = {}
    if call.temperature is not None and accepted.temperature:
        settings["temperature"] = call.temperature
    if call.max_tokens is not None:
        settings["maxOutputTokens"] = call.max_tokens
    settings |= _asking(call)
    if form is not Form.PLAIN:
        settings["responseMimeType"] = "application/json"
    if form is Form.JSON_SCHEMA:
        settings["responseSchema"] = response_schema(call.schema or {})
    body: dict[str, Any] = {
        "contents": [_turn(message) for message in messages if message.role != "system"],
        "generationConfig": settings,
    }
    if call.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in call.tools]}]
    if call.tools_closed:
        body["toolConfig"] = {"functionCallingConfig": {"mode": "NONE"}}
    system = [{"text": message.content} for message in messages if message.role == "system"]
    if system:
        body["systemInstruction"] = {"parts": system}
    return encoded_request(body, call, settings)


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    document, tokens = object_of(document, "the response"), None
    candidates = document.get("candidates")
    if not candidates and isinstance(document.get("promptFeedback"), dict):
        found, reason = MessageText(), finish.REFUSED
    else:
        candidate = first_of(candidates, "`candidates`")
        if call.tools and (uses := _uses(candidate.get("content"))):
            asked = MessageText(tool_turns.use_text(uses, candidate["content"]))
            return answer_from(call, asked, finish.TOOLS, counted(document), latency, document.get("modelVersion"))
        found = _message_text(candidate.get("content"))
        reason = finish.finish_reason_of(candidate.get("finishReason"), _REASONS)
        if call.asking.logprobs:
            result = object_in(candidate, "logprobsResult")
            tokens = given_logprobs(result, "chosenCandidates", "logProbability")
    return answer_from(call, found, reason, counted(document), latency, document.get("modelVersion"), tokens)


def _asking(call: ModelCall) -> dict[str, Any]:
    """Return the settings of how the model is asked. Google keeps the common beginning of questions by itself."""
    asking, settings = call.asking, dict[str, Any]()
    if asking.seed is not None:
        settings["seed"] = seed_of(call)
    if asking.effort is not None:
        settings["thinkingConfig"] = {"thinkingLevel": asking.effort}
    if asking.reasoning_tokens is not None:
        settings["thinkingConfig"] = {"thinkingBudget": asking.reasoning_tokens}
    if asking.logprobs:
        settings["responseLogprobs"] = True
    return settings


def _turn(message: ChatMessage) -> dict[str, Any]:
    if message.role == tool_turns.USE:
        return {**tool_turns.turn_in(message), "role": "model"}
    if message.role == tool_turns.RESULT:
        results = tool_turns.results_in(message)
        told = [(each.name, {"error" if each.failed else "result": each.text}) for each in results]
        return {
            "role": "user",
            "parts": [{"functionResponse": {"name": name, "response": response}} for name, response in told],
        }
    return {"role": _ROLES[message.role], "parts": google_parts(message)}


def _declaration(tool: ToolSpec) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description}
    if not tool.parameters.get("properties"):
        return described
    parameters = response_schema(tool.parameters)
    own = {"parametersJsonSchema": dict(tool.parameters)} if parameters is None else {"parameters": parameters}
    return {**described, **own}


def _uses(content: Any) -> list[tool_turns.ToolUse]:
    parts = content.get("parts") if isinstance(content, dict) else None
    calls = [part["functionCall"] for part in parts or () if isinstance(part, dict) and "functionCall" in part]
    return [
        tool_turns.ToolUse(str(at), text_in(object_of(call, "`functionCall`"), "name"), arguments_of(call.get("args")))
        for at, call in enumerate(calls)
    ]


def counted(document: Any) -> ReportedUsage:
    usage = object_in(document, "usageMetadata")
    if usage is None:
        return ReportedUsage()
    return ReportedUsage(
        given=usage.get("promptTokenCount"),
        cached=usage.get("cachedContentTokenCount"),
        answered=sum_of_counts(usage.get("candidatesTokenCount", 0), usage.get("thoughtsTokenCount")),
        total=usage.get("totalTokenCount"),
        audio=_of_modality(usage, "AUDIO"),
        image=_of_modality(usage, "IMAGE"),
    )


def _of_modality(usage: Mapping[str, Any], modality: str) -> int:
    """Return the tokens of the question that are of one modality and were not in the provider's cache."""
    tokens = 0
    for listed, sign in (("promptTokensDetails", 1), ("cacheTokensDetails", -1)):
        details = usage.get(listed)
        for each in details if isinstance(details, list) else ():
            if isinstance(each, dict) and each.get("modality") == modality:
                tokens += sign * (whole_number(each.get("tokenCount")) or 0)
    return max(0, tokens)


def _message_text(content: Any) -> MessageText:
    """Return the texts in a candidate's parts. The kind of a part is the name of its field. Raises `NoAnswer`."""
    if content is None:
        return MessageText()
    parts = object_of(content, "`content`").get("parts")
    if parts is None:
        return MessageText()
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
    return MessageText("".join(texts), None, distinct_kinds(noted))


def response_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Translate a JSON schema to a `responseSchema`; None where that cannot express it."""
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
