"""Tests models that use tools: how each protocol says so, and how often they may."""

from __future__ import annotations

import orjson
import pytest

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.answers.tool_rounds import ToolBox
from loom_ai.journal.models import JournalledModels
from loom_ai.keys import key_of
from loom_ai.pacing.token_bounds import most
from loom_ai.ports import Payer, ToolSpec
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.wire import anthropic, google, openai
from loom_ai.wire.form import Form
from loom_ai.wire.tool_turns import ToolResult, ToolUse, answered_turns, use_text, uses_in
from loom_common.worker.usage import Usage
from support.scripted_model import ScriptedModel, answer_of, call_of

PRICE = ToolSpec("price", "Looks up a price.", {"type": "object", "properties": {"item": {"type": "string"}}})
MOOD = {"type": "object", "properties": {"mood": {"type": "string"}}}
ASKED = call_of(tools=(PRICE,))

OPENAI = {
    "choices": [
        {
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "price", "arguments": '{"item": "tea"}'}}
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
}
ANTHROPIC = {
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "c1", "name": "price", "input": {"item": "tea"}},
    ],
    "stop_reason": "tool_use",
}
GOOGLE = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [{"functionCall": {"name": "price", "args": {"item": "tea"}}, "thoughtSignature": "s"}],
            },
            "finishReason": "STOP",
        }
    ],
}
SPOKEN = [(openai, OPENAI), (anthropic, ANTHROPIC), (google, GOOGLE)]
EACH = pytest.mark.parametrize(("wire", "response"), SPOKEN, ids=["openai", "anthropic", "google"])


def _asking(wire, response):
    return wire.answer_of(wire.parsed(orjson.dumps(response)), ASKED, 0.1)


def _went_on(wire, response, *, failed=False, **changes):
    """Return the next request, once the tool has returned something."""
    answer = _asking(wire, response)
    (use,) = uses_in(answer.text)
    turns = answered_turns(answer.text, [ToolResult(use.id, use.name, "$3", failed)])
    call = call_of(tools=(PRICE,), **changes)
    call = call_of(tools=(PRICE,), messages=(*call.messages, *turns), **changes)
    return orjson.loads(wire.request_body(call, wire.forms(call)[0]))


@EACH
def test_an_answer_that_asks_for_a_tool_says_which_and_with_what(wire, response):
    answer = _asking(wire, response)
    assert answer.finish_reason == "tool_calls"
    (use,) = uses_in(answer.text)
    assert (use.name, use.arguments) == ("price", {"item": "tea"})


def test_openais_turns_go_back_as_they_came_with_their_results():
    sent = _went_on(openai, OPENAI)
    assert sent["tools"][0]["function"] == {
        "name": "price",
        "description": "Looks up a price.",
        "parameters": PRICE.parameters,
    }
    assert sent["messages"][1]["tool_calls"] == OPENAI["choices"][0]["message"]["tool_calls"]
    assert sent["messages"][2] == {"role": "tool", "tool_call_id": "c1", "content": "$3"}
    assert "tool_choice" not in sent
    assert _went_on(openai, OPENAI, tools_closed=True)["tool_choice"] == "none"


def test_anthropics_turns_go_back_as_they_came_with_their_results():
    sent = _went_on(anthropic, ANTHROPIC, failed=True)
    assert sent["messages"][1] == {"role": "assistant", "content": ANTHROPIC["content"]}
    assert sent["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "$3", "is_error": True}
    ]
    assert "tool_choice" not in sent
    assert _went_on(anthropic, ANTHROPIC, tools_closed=True)["tool_choice"] == {"type": "none"}
    shaped = _went_on(anthropic, ANTHROPIC, schema=MOOD)
    assert ([tool["name"] for tool in shaped["tools"]], shaped["tool_choice"]) == (["price", "output"], {"type": "any"})
    assert _went_on(anthropic, ANTHROPIC, schema=MOOD, tools_closed=True)["tool_choice"]["name"] == "output"


def test_anthropics_answer_beside_tools_is_the_input_of_looms_own():
    answer = {"type": "tool_use", "id": "c2", "name": "output", "input": {"mood": "good"}}
    body = orjson.dumps({"content": [answer], "stop_reason": "tool_use"})
    call = call_of(tools=(PRICE,), schema=MOOD)
    found = anthropic.answer_of(anthropic.parsed(body), call, 0.1)
    assert (found.finish_reason, orjson.loads(found.text)) == ("stop", {"mood": "good"})


def test_googles_turns_go_back_as_they_came_with_their_results():
    sent = _went_on(google, GOOGLE, schema=MOOD)
    assert google.forms(call_of(tools=(PRICE,), schema=MOOD)) == (Form.PLAIN,)
    assert sent["tools"][0]["functionDeclarations"][0]["name"] == "price"
    assert sent["contents"][1] == GOOGLE["candidates"][0]["content"]
    assert sent["contents"][2]["parts"] == [{"functionResponse": {"name": "price", "response": {"result": "$3"}}}]
    assert _went_on(google, GOOGLE, tools_closed=True)["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}


@pytest.mark.parametrize("arguments", ["{", "[1]", "3"])
def test_arguments_that_are_no_object_are_for_the_tool_to_refuse(arguments):
    response = orjson.loads(orjson.dumps(OPENAI))
    response["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = arguments
    assert uses_in(_asking(openai, response).text)[0].arguments is None


def test_tools_are_part_of_the_key_and_of_the_size_of_a_question():
    assert len({key_of(call) for call in (call_of(), ASKED, call_of(tools=(PRICE,), tools_closed=True))}) == 3
    assert most(ASKED) > most(call_of())


class _Rounds:
    """Asks for the tool so many times before it answers."""

    def __init__(self, rounds, journal=None):
        self.rounds = rounds
        self.ran = []
        self.usage = Usage()
        self.model = ScriptedModel(self._answer)
        self.models = JournalledModels(self.model, journal or MemoryJournal())

    def _answer(self, call):
        done = sum(message.role == "tool_use" for message in call.messages)
        if done >= self.rounds:
            return answer_of('{"mood": "good"}')
        return answer_of(use_text([ToolUse(f"c{done}", "price", {"item": str(done)})], {}), "tool_calls")

    async def run(self, use, call, number):
        self.ran.append(use.arguments["item"])
        return ToolResult(use.id, use.name, f"${use.arguments['item']}")

    async def reply(self, max_rounds):
        box = ToolBox((PRICE,), max_rounds, self.run)
        return await ask(self.models, call_of(), Payer("run_1", "r0", self.usage), Shape({"mood": "string"}), tools=box)


async def test_the_model_uses_tools_until_it_answers_and_every_call_is_on_the_books():
    asked = _Rounds(2)
    reply = await asked.reply(5)
    assert reply.output == {"mood": "good"}
    assert asked.ran == ["0", "1"]
    assert [len(call.messages) for call in asked.model.calls] == [1, 3, 5]
    assert reply.spent.calls_made == 3
    assert {line.purpose: line.made for line in asked.usage.lines()} == {"transform": 1, "tools": 2}


@pytest.mark.parametrize(("rounds", "error"), [(2, None), (3, "too_many_rounds")])
async def test_after_the_last_round_the_model_may_use_no_more(rounds, error):
    asked = _Rounds(rounds)
    reply = await asked.reply(2)
    assert [call.tools_closed for call in asked.model.calls] == [False, False, True]
    assert len(asked.ran) == 2
    assert (reply.error and reply.error.code) == error
