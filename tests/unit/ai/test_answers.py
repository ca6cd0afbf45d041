"""Tests what counts as an answer, in each protocol: parts by their kinds, ends by their names, nothing as nothing."""

from __future__ import annotations

import orjson
import pytest

from loom_ai.answers.structured_output import read
from loom_ai.wire import anthropic, google, openai
from loom_ai.wire.document import NoAnswer
from loom_common.errors import RecordError
from support.any_server import chat
from support.scripted_model import call_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def _message(content, reason="end_turn"):
    return {
        "type": "message",
        "content": content,
        "stop_reason": reason,
        "usage": {"input_tokens": 5, "output_tokens": 3},
    }


def _candidate(parts, reason="STOP"):
    return {"candidates": [{"content": {"parts": parts}, "finishReason": reason}]}


def _answer(wire, document, **call):
    return wire.answer_of(wire.parsed(orjson.dumps(document)), call_of(**call), 0.1)


def _code(wire, document):
    with pytest.raises(RecordError) as caught:
        read(_answer(wire, document), None)
    return caught.value.code


@pytest.mark.parametrize(
    ("wire", "document"),
    [
        (openai, chat([{"type": "text", "text": "fi"}, {"type": "text", "text": "ne"}])),
        (openai, chat([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "fine"}])),
        (
            openai,
            chat(
                [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "fine"}]
            ),
        ),
        (
            anthropic,
            _message([{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "fine"}]),
        ),
        (anthropic, _message([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "fine"}])),
        (anthropic, _message("fine")),
        (google, _candidate([{"text": "hm", "thought": True}, {"text": "fine"}])),
    ],
)
def test_the_parts_of_an_answer_are_read_by_their_kinds_and_reasoning_is_none_of_it(wire, document):
    answer = _answer(wire, document)
    assert (answer.text, answer.finish_reason, answer.noted) == ("fine", "stop", ())


@pytest.mark.parametrize(
    ("wire", "document", "kind"),
    [
        (openai, chat([{"type": "image_url", "image_url": {}}, {"type": "text", "text": "fine"}]), "image_url"),
        (
            anthropic,
            _message([{"type": "server_tool_use", "name": "s"}, {"type": "text", "text": "fine"}]),
            "server_tool_use",
        ),
        (
            anthropic,
            _message([{"type": "tool_use", "name": "x", "input": {}}, {"type": "text", "text": "fine"}]),
            "tool_use",
        ),
        (google, _candidate([{"inlineData": {}}, {"text": "fine"}]), "inlineData"),
    ],
)
def test_a_part_of_an_unknown_kind_is_left_out_and_noted(wire, document, kind):
    answer = _answer(wire, document)
    assert (answer.text, answer.noted) == ("fine", (kind,))


@pytest.mark.parametrize(
    ("wire", "document"),
    [
        (openai, chat("")),
        (openai, chat(None)),
        (openai, chat(" \n\t")),
        (openai, chat(message={"role": "assistant"})),
        (openai, chat([])),
        (openai, chat(message={"content": None, "reasoning_content": "Let me see."})),
        (openai, chat([{"type": "image_url", "image_url": {}}])),
        (anthropic, _message([])),
        (anthropic, _message([{"type": "thinking", "thinking": "hm"}])),
        (google, _candidate([])),
        (google, _candidate([{"text": "hm", "thought": True}])),
        (google, {"candidates": [{"finishReason": "STOP"}]}),
    ],
)
def test_nothing_is_no_answer(wire, document):
    assert _code(wire, document) == "empty_answer"


@pytest.mark.parametrize(
    ("wire", "document"),
    [
        *((openai, document) for document in ({}, [], None, 4, "fine", {"choices": []}, {"choices": None})),
        *(
            (openai, {"choices": [each]})
            for each in (None, "fine", {}, {"message": None}, {"text": "fine"}, {"delta": {}})
        ),
        *(
            (openai, chat(each))
            for each in (4, True, {"answer": 1}, ["fine"], [{"text": "fine"}], [{"type": "text"}], [None])
        ),
        *((anthropic, document) for document in ({}, [], None, _message(None) | {"content": 4}, _message(["x"]))),
        (anthropic, _message([{"type": "text", "text": {"a": 1}}])),
        *((google, document) for document in ({}, [], {"candidates": []}, {"candidates": {}}, {"candidates": [4]})),
        *((google, _candidate(parts)) for parts in (["fine"], [{"text": 4}], {"text": "fine"}, "fine")),
    ],
)
def test_what_is_of_another_type_is_never_turned_into_text(wire, document):
    with pytest.raises(NoAnswer):
        _answer(wire, document)


@pytest.mark.parametrize(
    ("wire", "reason", "code"),
    [
        (openai, "length", "truncated_output"),
        (openai, "content_filter", "content_filter"),
        (openai, "error", "finish_error"),
        (openai, "tool_calls", "finish_tool_calls"),
        (openai, "model_length", "context_window_exceeded"),
        (openai, "insufficient_system_resource", "finish_insufficient_system_resource"),
        (openai, "Stop! Now", "finish_stop_now"),
        (openai, "¿?", "finish_unknown"),
        (openai, 4, "finish_unknown"),
        (openai, ["stop"], "finish_unknown"),
        (anthropic, "max_tokens", "truncated_output"),
        (anthropic, "refusal", "refused"),
        (anthropic, "pause_turn", "pause_turn"),
        (anthropic, "tool_use", "finish_tool_use"),
        (anthropic, "model_context_window_exceeded", "context_window_exceeded"),
        (anthropic, "stop", "finish_stop"),
        (google, "MAX_TOKENS", "truncated_output"),
        (google, "SAFETY", "refused"),
        (google, "MALFORMED_FUNCTION_CALL", "malformed_function_call"),
        (google, "OTHER", "finish_other"),
        (google, "FINISH_REASON_UNSPECIFIED", "finish_finish_reason_unspecified"),
    ],
)
def test_an_end_that_is_on_no_list_is_quarantined_under_its_own_name(wire, reason, code):
    documents = {
        openai: chat("fine", finish_reason=reason),
        anthropic: _message([{"type": "text", "text": "fine"}], reason),
        google: _candidate([{"text": "fine"}], reason),
    }
    assert _code(wire, documents[wire]) == code


@pytest.mark.parametrize("reason", ["stop", "eos", "STOP", None, ""])
def test_an_end_on_the_list_leaves_the_answer_whole(reason):
    assert read(_answer(openai, chat("fine", finish_reason=reason)), None) == {"text": "fine"}


@pytest.mark.parametrize(
    "written", ['{"a":12345678901234567890123}', '{"a":0.1234567890123456789}', '{"a":1,"a":2}', '{"a":"\\u9867"}']
)
def test_the_input_of_a_tool_is_the_answer_as_it_is_written(written):
    body = f'{{"content": [{{"type": "tool_use", "name": "output", "input": {written}}}], "stop_reason": "tool_use"}}'
    answer = anthropic.answer_of(anthropic.parsed(body.encode()), call_of(schema=SCHEMA), 0.1)
    assert answer.text == written.replace("\\u9867", "顧")


def test_half_a_character_is_marked_as_lost_rather_than_losing_the_answer():
    body = rb'{"choices": [{"message": {"content": "hi \ud83d"}, "finish_reason": "stop"}]}'
    assert openai.answer_of(openai.parsed(body), call_of(), 0.1).text == "hi \ufffd"
