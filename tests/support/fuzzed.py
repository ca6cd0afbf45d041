"""Generates responses of model endpoints for hypothesis: good ones in any dress, and whatever else may come over a
wire."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import strategies as st

from support.any_server import Sent

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
VALUES = st.fixed_dictionaries(
    {
        "mood": TEXTS,
        "count": st.integers(-(10**30), 10**30),
        "score": st.floats(allow_nan=False, allow_infinity=False),
        "sure": st.booleans(),
        "tags": st.lists(TEXTS, max_size=3),
    }
)
"""Says what fits `SHAPE`."""
SHAPE = {"mood": "string", "count": "integer", "score": "number", "sure": "boolean", "tags": ["string"]}
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(
        ["stop", "text", "429", "rate_limit_error", "Overloaded", "401", "invalid_api_key", "STOP", "error"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.sampled_from(["type", "text", "code", "message", "error"]), inner, max_size=3)
    ),
    max_leaves=6,
)
USAGES = ANYTHING | st.dictionaries(
    st.sampled_from(
        """prompt_tokens completion_tokens total_tokens prompt_tokens_details completion_tokens_details input_tokens
        output_tokens cache_read_input_tokens cache_creation_input_tokens promptTokenCount candidatesTokenCount
        thoughtsTokenCount totalTokenCount cachedContentTokenCount inputTokens outputTokens totalTokens
        cacheReadInputTokens billed_units tokens""".split()  # noqa: SIM905 - reads better than twenty quotes
    ),
    ANYTHING | st.integers(-10, 300) | st.dictionaries(st.sampled_from(["cached_tokens", "input_tokens"]), ANYTHING),
)
NUMBERS = st.sampled_from(["0", "-1", "1e999", "nan", "1.5", "99999999999", "", "٣", "0x10"]) | st.integers(0, 9).map(
    str
)
HEADERS = st.dictionaries(
    st.sampled_from(
        """Retry-After retry-after-ms x-ratelimit-remaining-requests x-ratelimit-reset-requests
        x-ratelimit-remaining-tokens x-ratelimit-reset-tokens anthropic-ratelimit-tokens-remaining
        anthropic-ratelimit-tokens-reset Content-Type X-Other""".split()  # noqa: SIM905 - as above
    ),
    NUMBERS.filter(str.isascii)
    | st.sampled_from(["1s", "6m0s", "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "text/html"])
    | st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-13-45", "application/json"]),
    max_size=4,
)


def openai(text: str, usage: Any, reason: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason or "stop"}
    return {"object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


def anthropic(text: str, usage: Any, reason: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "t", "name": "output", "input": _Json(text)}
    return {"type": "message", "model": "m", "content": [block], "stop_reason": reason or "tool_use", "usage": usage}


def google(text: str, usage: Any, reason: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reason or "STOP"}
    return {"candidates": [candidate], "modelVersion": "m", "usageMetadata": usage}


def cohere(text: str, usage: Any, reason: Any) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "output", "arguments": text}}
    message = {"role": "assistant", "tool_calls": [call]}
    return {"id": "1", "finish_reason": reason or "TOOL_CALL", "message": message, "usage": usage}


def bedrock(text: str, usage: Any, reason: Any) -> dict[str, Any]:
    part = {"toolUse": {"toolUseId": "t", "name": "output", "input": _Json(text)}}
    message = {"role": "assistant", "content": [part]}
    return {"output": {"message": message}, "stopReason": reason or "tool_use", "usage": usage}


DOCUMENTS: dict[str, Callable[[str, Any, Any], dict[str, Any]]] = {
    "openai": openai,
    "anthropic": anthropic,
    "google": google,
    "cohere": cohere,
    "bedrock": bedrock,
}


class _Json(str):
    """Represents JSON that stands in a document as it is written."""

    __slots__ = ()


def written(document: Any) -> bytes:
    """Write the document as bytes, with integers of any size."""
    match document:
        case _Json():
            return str(document).encode()
        case dict():
            members = (json.dumps(name).encode() + b":" + written(each) for name, each in document.items())
            return b"{" + b",".join(members) + b"}"
        case list():
            return b"[" + b",".join(map(written, document)) + b"]"
        case _:
            return json.dumps(document).encode()


@st.composite
def good(draw: st.DrawFn, provider: str) -> tuple[dict[str, Any], Sent]:
    """Draw an output, and a response that says it, with any usage, headers and further fields."""
    value = draw(VALUES)
    document = DOCUMENTS[provider](json.dumps(value, ensure_ascii=draw(st.booleans())), draw(USAGES), None)
    document |= {f"x_{name}": each for name, each in draw(st.dictionaries(TEXTS, ANYTHING, max_size=2)).items()}
    body, headers = written(document), draw(HEADERS)
    if draw(st.booleans()):
        body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
    return value, Sent(body, draw(st.sampled_from([200, 200, 201])), headers)


@st.composite
def whatever(draw: st.DrawFn, provider: str) -> Sent:
    """Draw a response with something in it that does not belong there."""
    document: Any = DOCUMENTS[provider](
        draw(TEXTS | st.just('{"mood": "x"}')).replace("\\", ""), draw(USAGES), draw(ANYTHING)
    )
    for _ in range(draw(st.integers(0, 3))):
        document = _changed(draw, document)
    body = draw(st.one_of(st.just(_safely(document)), st.just(_safely(draw(ANYTHING))), st.binary(max_size=60)))
    if draw(st.integers(0, 3)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    headers = draw(HEADERS)
    if draw(st.integers(0, 5)) == 0:
        headers = {**headers, "Content-Encoding": draw(st.sampled_from(["gzip", "deflate", "br", "identity", "x"]))}
    return Sent(body, 200, headers)


def _changed(draw: st.DrawFn, document: Any) -> Any:
    """Draw the document with one of its values replaced or left out."""
    if isinstance(document, dict) and document and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(document)))
        if draw(st.integers(0, 4)) == 0:
            return {each: value for each, value in document.items() if each != name}
        return {**document, name: _changed(draw, document[name])}
    if isinstance(document, list) and document and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(document) - 1))
        return [*document[:place], _changed(draw, document[place]), *document[place + 1 :]]
    return draw(ANYTHING)


def _safely(document: Any) -> bytes:
    try:
        return written(document)
    except (TypeError, ValueError):
        return orjson.dumps(None)
