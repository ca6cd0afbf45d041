from __future__ import annotations

import orjson
import pytest

from loom_ai.ports import ChatMessage
from loom_ai.wire.document import NoAnswer
from loom_ai.wire.form import Form
from loom_ai.wire.google import answer_of, forms, headers, parsed, request_body, response_schema, url
from loom_common.domain.schema.output import json_schema
from support.scripted_model import call_of

TALK = (ChatMessage("system", "Be brief."), ChatMessage("user", "How?"), ChatMessage("assistant", "odd"))
SHAPE = json_schema(
    {"mood": {"enum": ["good", "bad"]}, "note": "string?", "who": {"name": "string"}, "tags": ["string"]}
)


def _response(**candidate) -> bytes:
    usage = {"promptTokenCount": 12, "cachedContentTokenCount": 8, "candidatesTokenCount": 3, "thoughtsTokenCount": 5}
    return orjson.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-x"})


def _read(body: bytes):
    return answer_of(parsed(body), call_of(), 0.25)


def test_a_conversation_is_sent_with_its_system_apart():
    sent = orjson.loads(request_body(call_of(messages=TALK, max_tokens=50), Form.PLAIN))
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert [turn["role"] for turn in sent["contents"]] == ["user", "model"]
    assert sent["generationConfig"] == {"temperature": 0.0, "maxOutputTokens": 50}
    assert url("http://h/v1beta", "gemini-x") == "http://h/v1beta/models/gemini-x:generateContent"
    assert headers("k") == {"x-goog-api-key": "k"}


def test_a_schema_is_sent_in_the_words_it_knows():
    assert forms(call_of(schema=SHAPE)) == tuple(Form)
    settings = orjson.loads(request_body(call_of(schema=SHAPE), Form.JSON_SCHEMA))["generationConfig"]
    assert settings["responseMimeType"] == "application/json"
    schema = settings["responseSchema"]
    assert "additionalProperties" not in orjson.dumps(schema).decode()
    assert schema["properties"]["mood"] == {"enum": ["good", "bad"], "type": "string"}
    assert schema["properties"]["note"] == {"type": "string", "nullable": True}
    assert schema["properties"]["who"]["required"] == ["name"]


@pytest.mark.parametrize(
    "spec", [{"a": {"enum": [1, 2]}}, {"a": {"not": {"type": "string"}}}, {"a": {"type": ["string", "number"]}}]
)
def test_a_schema_it_has_no_words_for_is_described_instead(spec):
    schema = json_schema(spec)
    assert response_schema(schema) is None
    assert forms(call_of(schema=schema)) == (Form.JSON_OBJECT, Form.PLAIN)
    assert "JSON Schema" in request_body(call_of(schema=schema), Form.JSON_OBJECT).decode()


def test_references_are_followed_but_not_for_ever():
    tree = {"type": "object", "properties": {"child": {"$ref": "#/$defs/tree"}}}
    assert response_schema({**tree, "$defs": {"tree": tree}}) is None
    leaf = {"type": "object", "properties": {"child": {"$ref": "#/$defs/leaf"}}, "$defs": {"leaf": {"type": "string"}}}
    assert response_schema(leaf)["properties"]["child"] == {"type": "string"}


@pytest.mark.parametrize(
    ("candidate", "text", "finish"),
    [
        ({"content": {"parts": [{"text": "hm", "thought": True}, {"text": "fine"}]}}, "fine", "stop"),
        ({"content": {"parts": [{"text": "fi"}]}, "finishReason": "MAX_TOKENS"}, "fi", "length"),
        ({"finishReason": "SAFETY"}, "", "refusal"),
    ],
)
def test_an_answer_is_read_with_its_end(candidate, text, finish):
    answer = _read(_response(**candidate))
    assert (answer.text, answer.finish_reason, answer.model) == (text, finish, "gemini-x")
    assert (answer.tokens_in, answer.tokens_cached, answer.tokens_out) == (12, 8, 8)


def test_a_prompt_that_is_blocked_is_refused():
    body = orjson.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}})
    answer = _read(body)
    assert (answer.finish_reason, answer.tokens_in) == ("refusal", 4)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices": []}'])
def test_what_is_no_answer_is_said_to_be_none(body):
    with pytest.raises(NoAnswer):
        _read(body)
