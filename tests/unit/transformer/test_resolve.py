"""Tests the step that finds which records of a run are the same, from its members to the records that go on."""

from __future__ import annotations

import json
import math

from loom_ai.journal.models import JournalledModels
from loom_ai.ports import ModelAnswer
from loom_ai.stores.memory.group_members import MemoryGroupMembers
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.wire.embeddings import vectors_text
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.steps.grouping import member_of
from loom_common.errors import PermanentError, RecordError
from loom_common.flow import Stage
from loom_extractor.groups import groups
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of
from support.stepping import fact_of, kept, outputs

PEOPLE = [("a", "Anna Smith"), ("b", "Bob Jones"), ("c", "anna smith"), ("d", "Anna Smithe"), ("e", "Bob")]
WHO = {"name": "who", "type": "resolve", "block": ["city"], "compare": ["name"]}
ASKED = {
    **WHO, "model": "gpt-4o-mini", "base_url": "http://127.0.0.1:20001/v1", "confidence": 0.7,
    "prompt": "{{ input.name }}|{{ other.name }}",
}  # fmt: skip


def answered(call):
    """Say that two names are the same where both begin alike, and be unsure of Bob."""
    one, other = (name.casefold()[:3] for name in call.messages[-1].content.split("|"))
    return answer_of(json.dumps({"same": one == other, "confidence": 0.6 if one == "bob" else 0.9}))


async def resolved(tmp_path, step, people=PEOPLE, model=None, journal=None):
    """Return the messages of the batch of the blocks that these people make."""
    plan = plan_of({"steps": [step]}, every_hop=True)
    group = plan.pipeline.transform.steps_that_group[0]
    store = MemoryGroupMembers()
    members = [
        member_of(group, name, {"id": name, "name": text, "city": "Rome"} if text is not None else {"city": "Rome"})
        for name, text in people
    ]
    placed = [type(each)(each.group, f"{at:024}", each.record_id, each.by, each.values)
              for at, each in enumerate(members)]  # fmt: skip
    await store.keep("run_1", group.name, "0", placed)
    page = await groups(store, "run_1", group, None, 100)
    catalog = Catalog(JournalledModels(model or ScriptedModel(), journal or MemoryJournal()), tmp_path)
    transformer = Transformer(runner_of(GivenPlans(plan), catalog.transform_of, Stage.TRANSFORM))
    records = tuple(ExtractedRecord(each.id, each.input, each.derived) for each in page.records)
    batch = batch_of(plan, []).model_copy(update={"records": records})
    return [each.message for each in await outgoing_of(transformer, batch)]


def entities(made):
    return sorted((each["who_id"], each["id"]) for each in outputs(made).values())


async def test_records_that_are_alike_get_the_id_of_one_entity(tmp_path):
    made = await resolved(tmp_path, {**WHO, "similarity": 0.8})
    assert entities(made) == [("a", "a"), ("a", "c"), ("a", "d"), ("b", "b"), ("e", "e")]
    first = outputs(made)["who_blocks#Rome.1#who.1"]
    assert first == {
        "id": "a", "name": "Anna Smith", "city": "Rome",
        "who_id": "a", "who_block": 1, "who_number": 1, "who_uncompared": 0,
    }  # fmt: skip
    tally = fact_of(made).header.tally
    assert (tally.derived, tally.unnested) == (5, 1)


async def test_numbers_are_compared_as_they_are_written(tmp_path):
    people = [("a", 471_100_001), ("b", "471100001"), ("c", 999_999_999)]
    made = await resolved(tmp_path, {**WHO, "similarity": 0.9}, people)
    assert entities(made) == [("a", "a"), ("a", "b"), ("c", "c")]


async def test_what_comes_out_does_not_depend_on_the_order_of_the_records(tmp_path):
    step = {**WHO, "similarity": 0.8, "fields": {"names": {"distinct": "name"}, "records": "count"}}
    made = await resolved(tmp_path, step)
    found = {each["who_id"]: each for each in outputs(made).values()}
    assert {name: each["records"] for name, each in found.items()} == {"a": 3, "b": 1, "e": 1}
    assert found["a"]["names"] == ["Anna Smith", "anna smith", "Anna Smithe"]
    turned = {
        each["who_id"]: each["records"] for each in outputs(await resolved(tmp_path, step, PEOPLE[::-1])).values()
    }
    assert turned == {"a": 3, "b": 1, "e": 1}


async def test_a_model_is_asked_once_about_each_pair_and_has_to_be_sure(tmp_path):
    journal, model = MemoryJournal(), ScriptedModel(answered)
    made = await resolved(tmp_path, ASKED, model=model, journal=journal)
    assert entities(made) == [("a", "a"), ("a", "c"), ("a", "d"), ("b", "b"), ("e", "e")]
    assert len(model.calls) == 10
    nobody = ScriptedModel(PermanentError("nobody is asked again"))
    again = await resolved(tmp_path, ASKED, PEOPLE[::-1], nobody, journal)
    assert entities(again) == entities(made)
    surer = await resolved(tmp_path, {**ASKED, "confidence": 0.6}, model=model)  # it is as sure of Bob as it has to be
    assert entities(surer) == [("a", "a"), ("a", "c"), ("a", "d"), ("b", "b"), ("b", "e")]


async def test_pairs_beyond_the_limit_are_the_least_alike_and_are_told(tmp_path):
    model = ScriptedModel(answered)
    made = await resolved(tmp_path, {**ASKED, "max_comparisons": 2}, model=model)
    assert sorted(each.messages[-1].content for each in model.calls) == [
        "Anna Smith|Anna Smithe",
        "Anna Smith|anna smith",
    ]
    assert {each["who_uncompared"] for each in outputs(made).values()} == {8}


async def test_a_large_block_is_cut_and_its_parts_are_numbered(tmp_path):
    made = await resolved(tmp_path, {**WHO, "max_block": 2})
    assert sorted((each["who_block"], each["id"]) for each in outputs(made).values()) == [
        (1, "a"), (1, "b"), (2, "c"), (2, "d"), (3, "e"),
    ]  # fmt: skip


async def test_a_block_that_cannot_be_resolved_is_kept_whole(tmp_path):
    made = await resolved(tmp_path, WHO, [*PEOPLE, ("f", None)])
    [(name, error)] = kept(made).items()
    assert (name, error.code) == ("who_blocks#Rome.1", "missing_field")
    assert error.reason == "Step who: the record f has no field 'name'"
    broken = await resolved(tmp_path, ASKED, model=ScriptedModel(answer_of("no answer")))
    assert [each.code for each in kept(broken).values()] == ["invalid_output"]


class Vectors(ScriptedModel):
    """Gives Bob and Bobby vectors that are near each other, and the others such of their own, in its own order."""

    async def complete(self, call, waits=None):
        self.calls.append(call)
        angles = [{"b": 0.1, "e": 0.2}.get(each.content[:1].casefold(), 1.5) for each in call.messages]
        vectors = [[math.cos(angle), math.sin(angle)] for angle in angles]
        return ModelAnswer(vectors_text(vectors), "stop", call.model, len(vectors), 0, 0, 0.1)


NEAR = {**WHO, "embedding": {"model": "text-embedding-3-small", "base_url": "http://127.0.0.1:20001/v1"}}


async def test_records_are_compared_by_vectors_whatever_their_words(tmp_path):
    people = [("a", "Bob"), ("b", "Erna"), ("c", "Zoe"), ("d", "bobby")]
    journal, model = MemoryJournal(), Vectors()
    made = await resolved(tmp_path, {**NEAR, "similarity": 0.99}, people, model, journal)
    assert entities(made) == [("a", "a"), ("a", "b"), ("a", "d"), ("c", "c")]
    assert [len(call.messages) for call in model.calls] == [4]
    nobody = ScriptedModel(PermanentError("nobody is asked again"))
    again = await resolved(tmp_path, {**NEAR, "similarity": 0.99}, people[::-1], nobody, journal)
    assert entities(again) == entities(made)


async def test_each_record_is_compared_with_so_many_that_are_nearest(tmp_path):
    step = {**ASKED, "embedding": NEAR["embedding"], "candidates": 1, "similarity": 0.5}
    asked = []

    class Asking(Vectors):
        async def complete(self, call, waits=None):
            if call.embedding:
                return await super().complete(call, waits)
            asked.append(call.messages[-1].content)
            return answered(call)

    await resolved(tmp_path, step, [("a", "Bob"), ("b", "Bobby"), ("c", "Erna"), ("d", "Zoe")], Asking())
    assert sorted(asked) == ["Bob|Bobby", "Bob|Erna"]  # nobody is near to Zoe, and Erna is as near to Bob as to Bobby


async def test_a_vector_that_is_refused_keeps_the_block(tmp_path):
    made = await resolved(tmp_path, NEAR, model=ScriptedModel(RecordError("it is too long", code="model_refused")))
    [error] = kept(made).values()
    assert (error.code, error.reason) == (
        "model_refused", "Step who: The records cannot be compared: it is too long",
    )  # fmt: skip
