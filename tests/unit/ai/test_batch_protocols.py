"""Reads what providers say of batches, whatever they say: results in any order, twice, of nobody, cut off."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import fields, replace

import orjson
import pytest

from loom_ai.batches.pending import all_there, or_pending
from loom_ai.batches.progress import told
from loom_ai.batches.protocols import anthropic, google, openai
from loom_ai.batches.protocols.protocol import LONGEST_LINE, lines_of, object_in
from loom_ai.batches.protocols.support import speaks_batches
from loom_ai.batches.requests import encoding
from loom_ai.batches.requests.values import Batch, BatchState, Outcome, RequestState, Result, Standing
from loom_ai.batches.ways import MOST_TRIES, Way, way_of
from loom_ai.budget.prices import batch_share
from loom_ai.ports import ChatMessage, ModelCall, ToolSpec
from loom_common.domain.model_options.asking import Asking
from loom_common.domain.model_options.call_options import Extras
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.errors import AnswersPending

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CALL = ModelCall(
    model="gpt-4o-mini",
    messages=(ChatMessage("system", "Be kind"), ChatMessage("user", "Hello")),
    base_url="https://api.openai.com/v1",
    schema={"type": "object"},
    max_tokens=7,
    again=2,
    extras=Extras({"seed": 7}, {"x": {"y": 1}}, {"X-Team": "a"}),
    batch_deadline=60.0,
)


def test_a_call_is_read_as_it_was_written_whatever_fields_it_has():
    tools = (ToolSpec("known", "Look a word up.", {"type": "object", "properties": {"word": {"type": "string"}}}),)
    turns = (*CALL.messages, ChatMessage("tool_use", "{}"), ChatMessage("tool_result", "[]"))
    for call in (CALL, replace(CALL, tools=tools, tools_closed=True, messages=turns, asking=Asking(seed=7))):
        assert encoding.read(orjson.loads(orjson.dumps(encoding.written(call)))) == call
    lost = {"rate_limit", "concurrency", "judged", "sealed", "embedding"}
    assert {each.name for each in fields(ModelCall)} - encoding.written(CALL).keys() == lost
    assert [each.name for each in fields(ChatMessage)] == ["role", "content", "attachments"]


@pytest.mark.parametrize(
    ("line", "result"),
    [
        (
            {"custom_id": "a", "response": {"status_code": 200, "body": {"id": 1}}, "error": None},
            Result("a", Outcome.ANSWERED, b'{"id":1}', 200),
        ),
        (
            {"custom_id": "a", "response": {"status_code": 429, "body": {}}},
            Result("a", Outcome.ERROR, b"{}", 429),
        ),
        ({"custom_id": "a", "error": {"code": "batch_expired"}}, Outcome.EXPIRED),
        ({"custom_id": "a", "error": {"code": "batch_cancelled"}}, Outcome.CANCELLED),
        ({"custom_id": "a", "error": {"code": "oops"}}, Outcome.ERROR),
        ({"custom_id": 7, "response": {"body": {}}}, None),
        ({"custom_id": "a", "response": "no"}, None),
        ({"custom_id": "a"}, None),
        ({}, None),
    ],
)
def test_a_line_of_openai_says_what_came_of_a_request(line, result):
    found = openai.result_of(line)
    assert (found.outcome if isinstance(result, Outcome) and found else found) == result


@pytest.mark.parametrize(
    ("result", "outcome", "status"),
    [
        ({"type": "succeeded", "message": {"content": []}}, Outcome.ANSWERED, 200),
        ({"type": "errored", "error": {"error": {"type": "invalid_request_error"}}}, Outcome.ERROR, 400),
        ({"type": "errored", "error": {"type": "overloaded_error"}}, Outcome.ERROR, 529),
        ({"type": "errored", "error": "?"}, Outcome.ERROR, 500),
        ({"type": "canceled"}, Outcome.CANCELLED, 200),
        ({"type": "expired"}, Outcome.EXPIRED, 200),
    ],
)
def test_a_line_of_anthropic_says_what_came_of_a_request(result, outcome, status):
    found = anthropic.result_of({"custom_id": "a", "result": result})
    assert found is not None
    assert (found.outcome, found.status) == (outcome, status)


def test_numbers_in_the_answer_of_a_tool_stay_as_they_are_written():
    used = b'{"content":[{"type":"tool_use","input":{"n":1.10}}]}'
    line = b'{"custom_id":"a","result":{"type":"succeeded","message":%b}}' % used
    found = anthropic.result_of(object_in(line), line)
    assert b'"n":1.10' in found.body


@pytest.mark.parametrize("line", [{}, {"custom_id": "a"}, {"custom_id": "a", "result": {"type": "?"}}, {"result": {}}])
def test_a_line_of_anthropic_that_says_nothing_is_left_out(line):
    assert anthropic.result_of(line) is None


@pytest.mark.parametrize(
    ("said", "outcome", "status"),
    [
        ({"response": {"candidates": []}}, Outcome.ANSWERED, 200),
        ({"error": {"code": 3}}, Outcome.ERROR, 400),
        ({"error": {"code": 8}}, Outcome.ERROR, 429),
        ({"error": {"code": 503}}, Outcome.ERROR, 503),
        ({"error": {"code": "?"}}, Outcome.ERROR, 500),
        ({"error": {"code": 1}}, Outcome.CANCELLED, 499),
    ],
)
def test_a_response_inside_a_batch_of_google_says_what_came_of_a_request(said, outcome, status):
    found = google.result_of({"metadata": {"key": "a"}, **said})
    assert found is not None
    assert (found.outcome, found.status) == (outcome, status)


@pytest.mark.parametrize("said", [None, [], {"metadata": {}}, {"metadata": {"key": "a"}}, {"response": {}}])
def test_a_response_of_google_that_says_nothing_is_left_out(said):
    assert google.result_of(said) is None


async def pieces(*parts: bytes):
    for part in parts:
        yield part


async def test_lines_are_found_however_they_come_and_a_last_one_that_is_cut_off_is_no_object():
    lines = [
        line async for line in lines_of(pieces(b'{"a"', b': 1}\n\n{"b": 2}\nno', b' JSON\n[1]\n{"c": "\\ud83d"}\n{"d'))
    ]
    found = [each for line in lines if (each := object_in(line)) is not None]
    assert found == [{"a": 1}, {"b": 2}, {"c": "\ufffd"}]


async def test_a_line_that_never_ends_is_left_out_and_fills_no_memory():
    many = [b"x" * (1 << 20)] * (LONGEST_LINE // (1 << 20) + 2)
    assert [line async for line in lines_of(pieces(*many, b'\n{"a": 1}\n'))] == [b'{"a": 1}']


@pytest.mark.parametrize("requests", [b"", b'{"a":1},\n', b'{"a":1},\n{"b":2},\n'])
async def test_requests_are_wrapped_as_a_list(requests):
    whole = b"".join([part async for part in anthropic.wrapped(b'{"r":[', io.BytesIO(requests), b"]}")])
    assert len(orjson.loads(whole)["r"]) == requests.count(b"\n")


@pytest.mark.parametrize(
    ("outcome", "status", "tries", "overdue", "learned", "way"),
    [
        (Outcome.ERROR, 500, 0, False, False, Way(RequestState.GATHERED, True)),
        (Outcome.ERROR, 429, 0, False, False, Way(RequestState.GATHERED, True)),
        (Outcome.ERROR, 500, MOST_TRIES - 1, False, False, Way(RequestState.DIRECT)),
        (Outcome.ERROR, 400, 0, False, False, Way(RequestState.DIRECT)),
        (Outcome.ERROR, 400, 0, False, True, Way(RequestState.GATHERED, True)),
        (Outcome.ERROR, 400, MOST_TRIES - 1, False, True, Way(RequestState.DIRECT)),
        (Outcome.EXPIRED, 200, 9, False, False, Way(RequestState.GATHERED)),
        (Outcome.EXPIRED, 200, 0, True, False, Way(RequestState.DIRECT)),
        (Outcome.CANCELLED, 200, 9, False, False, Way(RequestState.GATHERED)),
        (Outcome.CANCELLED, 200, 0, True, False, Way(RequestState.DIRECT)),
        (None, 0, 0, False, False, Way(RequestState.GATHERED, True)),
        (None, 0, MOST_TRIES - 1, False, False, Way(RequestState.DIRECT)),
    ],
)
def test_what_came_of_a_request_decides_where_it_goes(outcome, status, tries, overdue, learned, way):
    assert way_of(outcome, status, tries, overdue=overdue, learned=learned) == way


def batch(**changes) -> Batch:
    begun = NOW - dt.timedelta(minutes=18)
    made = Batch("b", "run_1", "p", BatchState.RUNNING, CALL, 2000, begun, NOW, "batch_1", begun, 1200)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(40), "gathering 40 requests for a batch of OpenAI"),
        (Standing(0, [batch()]), "waiting for OpenAI batch batch_1: 1,200 of 2,000 done, about 12 min left"),
        (Standing(0, [batch(done=0)]), "waiting for OpenAI batch batch_1: 0 of 2,000 done"),
        (Standing(0, [batch(), batch(done=0)]), "waiting for OpenAI 2 batches: 1,200 of 4,000 done, about 42 min left"),
        (
            Standing(3, [batch(state=BatchState.CANCELLING, done=9)]),
            "waiting for OpenAI batch batch_1: 9 of 2,000 done, being cancelled; 3 requests gathered for the next",
        ),
        (Standing(0, [batch(done=0, problem="Hm.")]), "waiting for OpenAI batch batch_1: 0 of 2,000 done. Hm."),
        (
            Standing(0, [batch(state=BatchState.READING)]),
            "waiting for OpenAI batch batch_1: 1,200 of 2,000 done, results are being read",
        ),
    ],
)
def test_progress_is_a_sentence(standing, words):
    assert told(standing, CALL, NOW) == words


@pytest.mark.parametrize(
    ("provider", "served_by", "speaks"),
    [
        ("openai", None, True),
        ("anthropic", None, True),
        ("google", None, True),
        ("vllm", None, True),
        ("openai", "ours", True),
        ("mistral", None, False),
        ("ollama", None, False),
        ("bedrock", None, False),
        ("cohere", "ours", False),
    ],
)
def test_a_provider_has_batches_or_not(provider, served_by, speaks):
    assert speaks_batches(provider, served_by) is speaks


def test_the_share_of_the_price_is_the_pipelines_else_the_providers_and_of_a_strange_one_the_whole():
    price = ModelPrice(input=1, output=2)
    assert batch_share(CALL) == 0.5
    assert batch_share(CALL, {"gpt-4o-mini": price}) == 0.5
    assert batch_share(CALL, {"gpt-4o-mini": ModelPrice(input=1, output=2, batch=0.7)}) == 0.7
    assert batch_share(replace(CALL, served_by="ours"), {"ours:gpt-4o-mini": price}) == 1.0
    assert batch_share(replace(CALL, provider="vllm")) == 1.0


async def test_what_waits_is_told_after_everything_was_asked():
    async def waits(seconds: float):
        raise AnswersPending("later", seconds)

    async def is_there():
        return 1

    brought = [await or_pending(each) for each in (waits(30), is_there(), waits(5))]
    with pytest.raises(AnswersPending) as raised:
        all_there(brought)
    assert raised.value.retry_in == 5
    assert all_there([1, 2]) == [1, 2]
