from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask, read
from loom_ai.journal.models import JournalledModels
from loom_ai.ports import Payer
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import DependencyUnavailable, RecordError
from support.scripted_model import ScriptedModel, answer_of, call_of

SHAPE = Shape({"mood": {"enum": ["good", "bad"]}})
GOOD, BROKEN, STRANGE = answer_of('{"mood": "good"}'), answer_of('{"mood": "go'), answer_of('{"mood": "odd"}')
CUT, REFUSED = answer_of('{"mood', "length"), answer_of("No.", "refusal")
ANN, LATER = Payer("run_1", "ann"), Payer("run_2", "ann")


def _models(*script, journal=None):
    model = ScriptedModel(*script)
    return model, JournalledModels(model, journal or MemoryJournal())


@pytest.mark.parametrize(
    "text",
    [
        '{"mood": "good"}',
        ' \n{"mood": "good"}\n',
        '```json\n{"mood": "good"}\n```',
        '```\n{"mood": "good"}\n```',
        '\n```JSON\n{"mood":\n"good"}```\n',
    ],
)
def test_json_is_read_with_or_without_a_fence(text):
    assert read(answer_of(text), SHAPE) == {"mood": "good"}


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.none() | st.booleans()))
def test_any_object_survives_a_fence(value):
    shape = Shape({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"})
    assert read(answer_of(f"```json\n{orjson.dumps(value).decode()}\n```"), shape) == value


def test_without_a_shape_the_output_is_the_text():
    assert read(answer_of("It is fine."), None) == {"text": "It is fine."}


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (BROKEN, "invalid_output", "no JSON"),
        (answer_of(""), "empty_answer", "holds no text"),
        (STRANGE, "invalid_output", "mood: 'odd' is not one of"),
        (answer_of("[1]"), "invalid_output", "not of type 'object'"),
        (answer_of('{"mood": NaN}'), "invalid_output", "no JSON"),
        (CUT, "truncated_output", "max_tokens"),
        (REFUSED, "refused", "refused"),
        (answer_of("", "content_filter"), "content_filter", "content filter"),
    ],
)
def test_a_useless_answer_is_told_by_its_kind_and_kept_raw(answer, code, words):
    with pytest.raises(RecordError, match=words) as caught:
        read(answer, SHAPE)
    assert caught.value.code == code
    assert caught.value.details["raw"] == answer.text


async def test_a_misfit_is_repaired_once_with_the_error():
    model, models = _models(STRANGE, GOOD)
    reply = await ask(models, call_of(schema=SHAPE.schema), ANN, SHAPE)
    assert (reply.output, reply.error, reply.spent.calls_made) == ({"mood": "good"}, None, 2)
    repair = model.calls[1]
    assert repair.purpose == "repair"
    assert [message.role for message in repair.messages] == ["user", "assistant", "user"]
    assert repair.messages[1].content == STRANGE.text
    assert "'odd' is not one of" in repair.messages[2].content


async def test_a_misfit_that_stays_is_the_records_error_and_both_calls_are_paid():
    model, models = _models(STRANGE, BROKEN)
    reply = await ask(models, call_of(), ANN, SHAPE)
    assert reply.error is not None
    assert (reply.error.code, reply.error.details["raw"]) == ("invalid_output", BROKEN.text)
    assert (reply.output, reply.spent.calls_made, len(model.calls)) == (None, 2, 2)
    assert reply.spent.cost == pytest.approx(2 * 0.00021)


@pytest.mark.parametrize("answer", [CUT, REFUSED])
async def test_what_no_repair_can_mend_is_not_asked_again(answer):
    model, models = _models(answer)
    reply = await ask(models, call_of(), ANN, SHAPE)
    assert reply.error is not None
    assert len(model.calls) == 1


async def test_a_refused_question_is_the_records_error():
    _, models = _models(RecordError("too long", code="model_refused"))
    reply = await ask(models, call_of(), ANN, SHAPE)
    assert reply.error is not None
    assert (reply.error.code, reply.spent.calls_made) == ("model_refused", 0)


async def test_trouble_of_the_endpoint_is_not_the_records():
    _, models = _models(DependencyUnavailable("away"))
    with pytest.raises(DependencyUnavailable):
        await ask(models, call_of(), ANN, SHAPE)


async def test_an_earlier_runs_repaired_answer_is_reused_whole():
    journal = MemoryJournal()
    _, models = _models(STRANGE, GOOD, journal=journal)
    await ask(models, call_of(), ANN, SHAPE)
    model, models = _models(journal=journal)
    reply = await ask(models, call_of(), LATER, SHAPE)
    assert reply.output == {"mood": "good"}
    assert (reply.spent.calls_made, reply.spent.calls_from_cache, model.calls) == (0, 2, [])


@pytest.mark.parametrize("failures", [[STRANGE, BROKEN], [CUT], [REFUSED]])
async def test_an_earlier_runs_failure_is_not_believed(failures):
    journal = MemoryJournal()
    _, models = _models(*failures, journal=journal)
    assert (await ask(models, call_of(), ANN, SHAPE)).error
    _, models = _models(GOOD, journal=journal)
    reply = await ask(models, call_of(), LATER, SHAPE)
    assert (reply.output, reply.spent.calls_made, reply.spent.calls_from_cache) == ({"mood": "good"}, 1, 0)


async def test_the_same_runs_failure_is_not_paid_twice():
    model, models = _models(CUT)
    await ask(models, call_of(), ANN, SHAPE)
    again = await ask(models, call_of(), Payer("run_1", "ben"), SHAPE)
    assert again.error is not None
    assert len(model.calls) == 1
