from __future__ import annotations

import asyncio
import json

import pytest

from loom_ai.answers.multi_record import Question, Shaped, ask_together, combined_call, part_of
from loom_ai.answers.shape import Shape
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.ports import NOTED, ModelCall, Payer
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import DependencyUnavailable, RecordError
from support.scripted_model import ScriptedModel, answer_of, call_of, settle

MOOD = Shape({"mood": {"enum": ["good", "bad"]}})
GOOD, BAD = {"mood": "good"}, {"mood": "bad"}


def questions(*prompts: str, run_id: str = "run_1") -> list[Question]:
    return [
        Question(call_of(prompt, schema=MOOD.schema), Payer(run_id, f"r{number}"))
        for number, prompt in enumerate(prompts, 1)
    ]


def obliging(call: ModelCall):
    """Says of every request how its text ends."""
    text = call.messages[-1].content
    requests = text.split("### ")[1:]
    said = {each.split("\n", 1)[0]: {"mood": each.strip().rsplit(" ", 1)[1]} for each in requests}
    return answer_of(json.dumps(said))


async def asked(models, *prompts, at_once=3, reuse=None, run_id="run_1"):
    parts = await ask_together(models, questions(*prompts, run_id=run_id), at_once, Shaped(MOOD), reuse or Reuse())
    return [part.output for part in parts], [part.spent.calls_made for part in parts]


async def test_each_question_gets_its_own_part_of_few_calls():
    model = ScriptedModel(obliging)
    models = JournalledModels(model, MemoryJournal())
    outputs, calls = await asked(models, "a good", "b bad", "c good", "d bad", "e bad")
    assert outputs == [GOOD, BAD, GOOD, BAD, BAD]
    assert (len(model.calls), calls) == (2, [1, 0, 0, 1, 0])


def test_parts_are_matched_by_name_whatever_their_order():
    answer = answer_of('{"record_2": {"mood": "bad"}, "record_1": {"mood": "good"}}')
    assert [part_of(answer, number, MOOD) for number in (1, 2, 3)] == [GOOD, BAD, None]


@pytest.mark.parametrize(
    ("text", "finish"),
    [
        ('{"record_1": {"mood": "odd"}, "record_2": {"mood": "good"}}', "stop"),
        ('{"record_2": {"mood": "good"}}', "stop"),
        ('{"record_1": "good", "record_2": {"mood": "good"}}', "stop"),
    ],
)
async def test_what_is_missing_or_does_not_fit_is_left_and_its_neighbour_kept(text, finish):
    models = JournalledModels(ScriptedModel(answer_of(text, finish)), MemoryJournal())
    outputs, _ = await asked(models, "a", "b")
    assert outputs == [None, GOOD]


@pytest.mark.parametrize("answer", [answer_of('{"record_1": {"mo', "length"), answer_of("odd"), answer_of("[]")])
async def test_an_answer_of_no_use_leaves_all_its_questions(answer):
    outputs, calls = await asked(JournalledModels(ScriptedModel(answer), MemoryJournal()), "a", "b")
    assert (outputs, calls) == ([None, None], [1, 0])


async def test_a_refused_call_leaves_its_questions_and_an_absent_model_is_told():
    refusing = JournalledModels(ScriptedModel(RecordError("too long", code="model_refused")), MemoryJournal())
    assert (await asked(refusing, "a", "b"))[0] == [None, None]
    away = JournalledModels(ScriptedModel(DependencyUnavailable("away")), MemoryJournal())
    with pytest.raises(DependencyUnavailable):
        await asked(away, "a", "b")


async def test_where_the_parts_of_an_answer_belong_is_one_write():
    """A process that is killed between two writes would group the rest otherwise, and pay for them again."""
    journal = MemoryJournal()
    put_many, written = journal.put_many, []

    async def keep(entries):
        written.append([entry.purpose for entry in entries])
        await put_many(entries)

    journal.put_many = keep
    await asked(JournalledModels(ScriptedModel(obliging), journal), "a good", "b bad", "c good")
    assert written == [["transform"], [NOTED] * 3]


async def test_a_question_alone_is_asked_in_its_own_words():
    model = ScriptedModel(answer_of('{"mood": "good"}'))
    assert (await asked(JournalledModels(model, MemoryJournal()), "a good"))[0] == [GOOD]
    assert model.prompts == ["a good"]


async def test_a_question_that_was_asked_alone_is_not_asked_again_in_company():
    model = ScriptedModel(answer_of('{"mood": "good"}'), obliging)
    models = JournalledModels(model, MemoryJournal())
    await asked(models, "a good")
    assert (await asked(models, "b bad", "a good", "c bad"))[0] == [BAD, GOOD, BAD]
    assert ["a good" in prompt for prompt in model.prompts] == [True, False]


async def test_equal_questions_of_two_batches_at_the_same_time_are_asked_once():
    model = ScriptedModel(obliging)
    model.may_answer.clear()
    models = JournalledModels(model, MemoryJournal())
    one = asyncio.create_task(asked(models, "a good", "b bad", "c good"))
    await settle(lambda: len(model.calls) == 1)
    other = asyncio.create_task(asked(models, "d bad", "b bad", "e good", "a good"))
    await settle(lambda: len(model.calls) == 2)
    model.may_answer.set()
    assert (await one)[0] == [GOOD, BAD, GOOD]
    assert (await other)[0] == [BAD, BAD, GOOD, GOOD]
    assert [sum(f"\n{each}" in text for text in model.prompts) for each in ("a good", "b bad")] == [1, 1]


async def test_a_question_whose_shared_call_failed_is_left_to_those_who_waited_for_it():
    model = ScriptedModel(DependencyUnavailable("away"), obliging)
    model.may_answer.clear()
    models = JournalledModels(model, MemoryJournal())
    one = asyncio.create_task(asked(models, "a good", "b bad"))
    await settle(lambda: len(model.calls) == 1)
    other = asyncio.create_task(asked(models, "a good", "b bad"))
    for _ in range(50):
        await asyncio.sleep(0)
    model.may_answer.set()
    with pytest.raises(DependencyUnavailable):
        await one
    assert (await other)[0] == [None, None]  # to be asked singly


async def test_equal_questions_are_asked_once():
    model = ScriptedModel(obliging)
    outputs, _ = await asked(JournalledModels(model, MemoryJournal()), "a good", "b bad", "a good", "b bad")
    assert outputs == [GOOD, BAD, GOOD, BAD]
    assert len(model.calls) == 1


async def test_what_was_answered_is_not_paid_again_in_other_company():
    model, journal = ScriptedModel(obliging), MemoryJournal()
    models = JournalledModels(model, journal)
    await asked(models, "a good", "b bad", "c good")
    outputs, calls = await asked(models, "a good")  # as after a crash, one by one
    assert (outputs, calls) == ([GOOD], [1])  # its own account, again
    (part,) = await ask_together(models, questions("x", "b bad")[1:], 3, Shaped(MOOD), Reuse())
    assert (part.output, part.spent.calls_made) == (BAD, 0)
    assert (await asked(models, "c good", "b bad", run_id="run_2"))[0] == [GOOD, BAD]
    assert len(model.calls) == 1


async def test_without_reuse_nothing_of_another_run_will_do():
    model = ScriptedModel(obliging)
    models = JournalledModels(model, MemoryJournal())
    never = Reuse(enabled=False)
    for run_id in ("run_1", "run_2", "run_2"):
        assert (await asked(models, "a good", "b bad", reuse=never, run_id=run_id))[0] == [GOOD, BAD]
    assert len(model.calls) == 2


def test_the_call_asks_for_a_field_per_question_and_room_for_all():
    calls = [call_of(prompt, max_tokens=50, schema=MOOD.schema) for prompt in ("a", "b")]
    call = combined_call(calls, MOOD)
    assert call.schema["required"] == ["record_1", "record_2"]
    assert call.schema["$defs"]["answer"] == MOOD.schema
    assert call.max_tokens == 100


def test_free_text_is_matched_too():
    call = combined_call([call_of("a"), call_of("b")], None)
    assert call.schema["$defs"]["answer"] == {"type": "string"}
    answer = answer_of('{"record_1": "fine", "record_2": 7}')
    assert [part_of(answer, number, None) for number in (1, 2)] == [{"text": "fine"}, None]
