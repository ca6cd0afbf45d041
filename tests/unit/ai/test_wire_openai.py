from __future__ import annotations

import orjson
import pytest

from loom_ai.wire.document import NoAnswer
from loom_ai.wire.form import Form
from loom_ai.wire.openai import answer_of, forms, parsed, request_body
from support.scripted_model import call_of

SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}}


def _sent(form: Form, **changes):
    return orjson.loads(request_body(call_of(**changes), form))


def _response(**choice) -> bytes:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    return orjson.dumps({"model": "gpt-4o-mini-2024", "choices": [choice], "usage": usage})


def _read(body: bytes):
    return answer_of(parsed(body), call_of(), 0.25)


def test_free_text_is_asked_for_plainly():
    assert forms(call_of()) == (Form.PLAIN,)
    assert _sent(Form.PLAIN) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "How is it?"}],
        "temperature": 0.0,
    }


def test_a_schema_is_asked_for_in_the_strongest_form_first():
    assert forms(call_of(schema=SCHEMA))[0] is Form.JSON_SCHEMA
    sent = _sent(Form.JSON_SCHEMA, schema=SCHEMA)
    assert sent["response_format"]["json_schema"] == {"name": "output", "strict": True, "schema": SCHEMA}
    assert len(sent["messages"]) == 1


@pytest.mark.parametrize("form", [Form.JSON_OBJECT, Form.PLAIN])
def test_weaker_forms_carry_the_schema_in_words(form):
    sent = _sent(form, schema=SCHEMA)
    assert orjson.dumps(SCHEMA).decode() in sent["messages"][0]["content"]
    assert sent.get("response_format") == ({"type": "json_object"} if form is Form.JSON_OBJECT else None)


@pytest.mark.parametrize(
    ("base_url", "name"),
    [("https://api.openai.com/v1", "max_completion_tokens"), ("http://localhost:11434/v1", "max_tokens")],
)
def test_the_longest_answer_is_told_under_the_name_the_endpoint_knows(base_url, name):
    assert _sent(Form.PLAIN, base_url=base_url, max_tokens=50)[name] == 50


def test_an_answer_is_read_with_its_tokens():
    answer = _read(_response(message={"content": "fine"}, finish_reason="stop"))
    assert (answer.text, answer.finish_reason, answer.model) == ("fine", "stop", "gpt-4o-mini-2024")
    assert answer.tokens_in == 12
    assert answer.tokens_cached == 8
    assert answer.tokens_out == 3
    assert answer.latency == 0.25


def test_a_refusal_is_told_from_an_answer():
    answer = _read(_response(message={"content": None, "refusal": "No."}, finish_reason="stop"))
    assert (answer.text, answer.finish_reason) == ("No.", "refusal")


def test_an_endpoint_that_counts_no_tokens_is_read_all_the_same():
    body = orjson.dumps({"choices": [{"message": {"content": "fine"}}]})
    answer = _read(body)
    assert answer.text == "fine"
    assert answer.finish_reason == "stop"
    assert answer.estimated is True
    assert answer.model == "gpt-4o-mini"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{}]}', b"null"])
def test_what_is_no_chat_completion_is_said_to_be_none(body):
    with pytest.raises(NoAnswer):
        _read(body)
