"""Tests what the simulated model's answers depend on."""

from __future__ import annotations

import orjson
import pytest

from loom_ai.ports import ChatMessage
from loom_ai.simulated.formats import AnthropicMessages, ChatCompletions, GoogleContents
from loom_ai.wire import anthropic, google, openai
from loom_ai.wire.form import Form
from support.scripted_model import call_of

PROTOCOLS = [(openai, ChatCompletions()), (anthropic, AnthropicMessages()), (google, GoogleContents())]
EXAMPLE = (ChatMessage("user", "An example"), ChatMessage("assistant", "good"))


def question_of(wire, simulated, *turns):
    return simulated.read_request(orjson.loads(wire.request_body(call_of(messages=turns), Form.PLAIN)), "m").question


@pytest.mark.parametrize(("wire", "simulated"), PROTOCOLS)
def test_records_behind_the_same_examples_have_answers_of_their_own(wire, simulated):
    asked = {question_of(wire, simulated, *EXAMPLE, ChatMessage("user", text)) for text in ("one", "two")}
    assert len(asked) == 2


@pytest.mark.parametrize(("wire", "simulated"), PROTOCOLS)
def test_a_corrected_answer_is_that_to_the_question(wire, simulated):
    words = "It does not fit. Answer again, with the corrected JSON object and nothing else."
    turns = (ChatMessage("user", "one"), ChatMessage("assistant", "x"), ChatMessage("user", words))
    assert question_of(wire, simulated, *turns) == question_of(wire, simulated, turns[0]) == "one"
