"""Tests the transform that turns texts into vectors."""

from __future__ import annotations

import math
from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError

from loom_ai.journal.models import JournalledModels
from loom_ai.keys import key_of
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.wire import embeddings
from loom_ai.wire.document import NoAnswer
from loom_ai.wire.embeddings import vector_in, vectors_text
from loom_ai.wire.form import Form
from loom_common.domain.checks.field_names import output_fields
from loom_common.errors import PermanentError, RecordError
from loom_common.worker.context import Context
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of, call_of

EMBED = {"type": "embed", "model": "openai:text-embedding-3-small", "base_url": "http://h/v1", "field": "review"}
ASKED = call_of(embedding=True)


def _vectors(*lengths):
    """Answer with a vector for each text: its length, or those given, of twos."""

    def answer(call):
        rows = [[float(len(message.content)), 2.0] for message in call.messages]
        if lengths:
            rows = [[2.0] * length for length in lengths]
        return answer_of(vectors_text(rows), tokens_out=0)

    return answer


async def _applied(records, *script, journal=None, run_id="run_1", **config):
    plan = plan_of({**EMBED, **config})
    model, context = ScriptedModel(*script or (_vectors(),)), Context()
    transform = Catalog(JournalledModels(model, journal or MemoryJournal()), Path()).transform_of(plan)
    outcomes = await transform.apply(run_id, batch_of(plan, records, run_id).records, context)
    return model, outcomes, context.usage.lines()


def _reviews(*texts):
    return [{"review": text} for text in texts]


async def test_many_texts_share_a_call_and_each_record_gets_its_own_vector():
    model, outcomes, lines = await _applied(_reviews("a", "bb", "ccc", "dddd", "eeeee"), texts_per_call=2)
    assert [len(call.messages) for call in model.calls] == [2, 2, 1]
    assert [outcome.output for outcome in outcomes] == [{"embedding": [float(n), 2.0]} for n in range(1, 6)]
    assert [(line.purpose, line.made, line.tokens_in) for line in lines] == [("embed", 3, 3000)]


async def test_a_text_that_was_embedded_is_not_paid_for_again_in_other_company():
    journal = MemoryJournal()
    await _applied(_reviews("a", "bb", "a"), journal=journal)
    model, outcomes, _ = await _applied(_reviews("bb", "new", "a"), journal=journal, run_id="run_2")
    assert [[message.content for message in call.messages] for call in model.calls] == [["new"]]
    assert [outcome.output["embedding"][0] for outcome in outcomes] == [2.0, 3.0, 1.0]


async def test_a_refused_text_fails_alone():
    def refusing(call):
        if any("long" in message.content for message in call.messages):
            raise RecordError("too long", code="model_refused")
        return _vectors()(call)

    _, outcomes, _ = await _applied(_reviews("a", "long", "b"), refusing)
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [None, "model_refused", None]


@pytest.mark.parametrize(
    ("record", "code"),
    [({"other": "x"}, "missing_field"), ({"review": None}, "missing_field"), ({"review": " "}, "missing_field")],
)
async def test_a_record_without_a_text_fails_unasked(record, code):
    model, (outcome,), _ = await _applied([record])
    assert (outcome.error.code, model.calls) == (code, [])


async def test_the_text_may_be_a_template():
    model, _, _ = await _applied([{"a": "x", "b": 1}], field=None, text="{{ input.a }}: {{ input.b }}", into="v")
    assert model.calls[0].messages[0].content == "x: 1"


async def test_a_vector_of_another_length_is_kept_back():
    _, outcomes, _ = await _applied(_reviews("a", "b"), _vectors(3, 2), dimensions=3)
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [None, "wrong_dimensions"]
    _, outcomes, _ = await _applied(_reviews("a", "b"), _vectors(2, 3))
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [None, "wrong_dimensions"]


async def test_vectors_can_be_scaled_to_the_length_one():
    _, outcomes, _ = await _applied(_reviews("abc"), normalize=True)
    vector = outcomes[0].output["embedding"]
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-6)
    assert vector[0] / vector[1] == pytest.approx(1.5, abs=1e-6)


async def test_an_unusable_response_is_the_records_own_after_it_was_asked_alone():
    model, outcomes, _ = await _applied(_reviews("a", "b"), answer_of("<html>", "unusable", noted=("no JSON",)))
    assert {outcome.error.code for outcome in outcomes} == {"unusable_answer"}
    assert len(model.calls) == 3


def test_the_output_is_declared_as_a_vector():
    transform = plan_of({**EMBED, "dimensions": 3}).pipeline.transform
    assert transform.declared_schema["properties"]["embedding"]["maxItems"] == 3
    assert output_fields({"transform": {**EMBED, "into": "v"}}, None).names == ("v",)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"text": "{{ input.x }}"}, "one of `field` and `text`"),
        ({"field": None}, "one of `field` and `text`"),
        ({"output": {"x": "number"}}, "no `output` in a transform of type embed"),
        ({"fallback": ["gpt-4o"]}, "only a transform of type ai asks models"),
        ({"prompt": "x"}, "no `prompt` in a transform of type embed"),
        ({"model": "opanai:x"}, "openai:x"),
    ],
)
def test_what_does_not_fit_together_is_refused(config, expected):
    with pytest.raises(ValidationError) as refused:
        plan_of({**EMBED, **config})
    assert expected in str(refused.value)


@pytest.mark.parametrize("model", ["anthropic:x", "google:x"])
def test_a_provider_without_embeddings_is_refused(model):
    with pytest.raises(PermanentError, match="OpenAI's protocol"):
        Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), Path()).transform_of(
            plan_of({**EMBED, "model": model})
        )


def _read(document, texts=2):
    call = call_of(messages=ASKED.messages * texts, embedding=True)
    return embeddings.answer_of(document, call, 0.1)


def test_the_protocol_is_openais():
    call = call_of(messages=ASKED.messages * 2, embedding=True, dimensions=2, temperature=None)
    assert embeddings.url("http://h/v1", "m") == "http://h/v1/embeddings"
    assert orjson.loads(embeddings.request_body(call, Form.PLAIN)) == {
        "model": "gpt-4o-mini",
        "input": ["How is it?", "How is it?"],
        "encoding_format": "float",
        "dimensions": 2,
    }
    rows = [{"index": 1, "embedding": [0.25, -0.5]}, {"index": 0, "embedding": [0.1, 3]}]
    answer = _read({"data": rows, "usage": {"prompt_tokens": 7}})
    assert (vector_in(answer.text, 0), vector_in(answer.text, 1)) == ([0.100000001, 3.0], [0.25, -0.5])
    assert (answer.tokens_in, answer.tokens_out, answer.estimated) == (7, 0, False)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [{"embedding": [1]}],
        [{"index": 5, "embedding": [1]}, {"index": 0, "embedding": [1]}],
        [{"embedding": ["1"]}, {"embedding": [1]}],
        [{"embedding": []}, {"embedding": [1]}],
        [{"embedding": [1e300]}, {"embedding": [1]}],
    ],
)
def test_a_response_that_holds_other_than_a_vector_for_each_text_is_no_answer(data):
    with pytest.raises(NoAnswer):
        _read({"data": data})


def test_a_vector_is_another_question_than_an_answer_and_than_a_shorter_one():
    assert len({key_of(call) for call in (call_of(), ASKED, call_of(embedding=True, dimensions=2))}) == 3
