from __future__ import annotations

import orjson
import pytest

from loom_ai.ports import ChatMessage
from loom_ai.wire.anthropic import answer_of, forms, headers, parsed, request_body, url
from loom_ai.wire.document import NoAnswer
from loom_ai.wire.form import Form
from support.scripted_model import call_of

SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}}
TALK = (
    ChatMessage("system", "Be brief."),
    ChatMessage("user", "How is it?"),
    ChatMessage("assistant", "odd"),
    ChatMessage("user", "Again."),
)


def _response(*content, **fields) -> bytes:
    usage = {"input_tokens": 12, "cache_read_input_tokens": 8, "cache_creation_input_tokens": 2, "output_tokens": 3}
    return orjson.dumps({"model": "claude-x", "content": content, "stop_reason": "end_turn", "usage": usage, **fields})


def _read(body: bytes):
    return answer_of(parsed(body), call_of(schema=SCHEMA), 0.25)


def test_a_conversation_is_sent_with_its_system_apart():
    sent = orjson.loads(request_body(call_of(messages=TALK, max_tokens=50), Form.PLAIN))
    assert sent["system"] == "Be brief."
    assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
    assert (sent["max_tokens"], sent["temperature"]) == (50, 0.0)
    assert orjson.loads(request_body(call_of(temperature=None), Form.PLAIN)).keys() == {
        "model",
        "max_tokens",
        "messages",
    }


def test_a_schema_is_the_input_of_a_tool_that_must_be_used():
    assert forms(call_of(schema=SCHEMA)) == (Form.JSON_SCHEMA, Form.PLAIN)
    sent = orjson.loads(request_body(call_of(schema=SCHEMA), Form.JSON_SCHEMA))
    assert sent["tools"][0]["input_schema"] == SCHEMA
    assert sent["tool_choice"]["name"] == sent["tools"][0]["name"]
    assert "JSON Schema" in orjson.loads(request_body(call_of(schema=SCHEMA), Form.PLAIN))["system"]


@pytest.mark.parametrize("base", ["https://api.anthropic.com", "https://api.anthropic.com/v1"])
def test_the_address_may_be_named_with_or_without_its_version(base):
    assert url(base, "m") == "https://api.anthropic.com/v1/messages"
    assert headers("sk")["x-api-key"] == "sk"
    assert "x-api-key" not in headers(None)


@pytest.mark.parametrize(
    ("content", "reason", "text", "finish"),
    [
        ([{"type": "text", "text": "fine"}], "end_turn", "fine", "stop"),
        ([{"type": "text", "text": "so"}, {"type": "tool_use", "input": {"a": 1}}], "tool_use", '{"a":1}', "stop"),
        ([{"type": "text", "text": "fi"}], "max_tokens", "fi", "length"),
        ([], "refusal", "", "refusal"),
    ],
)
def test_an_answer_is_read_with_its_end(content, reason, text, finish):
    answer = _read(_response(*content, stop_reason=reason))
    assert (answer.text, answer.finish_reason, answer.model) == (text, finish, "claude-x")


def test_tokens_read_from_and_written_to_the_cache_are_tokens_in():
    answer = _read(_response({"type": "text", "text": "fine"}))
    assert (answer.tokens_in, answer.tokens_cached, answer.tokens_out) == (22, 8, 3)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"content": 4, "usage": {}}', b'{"choices": []}'])
def test_what_is_no_message_is_said_to_be_none(body):
    with pytest.raises(NoAnswer):
        _read(body)
