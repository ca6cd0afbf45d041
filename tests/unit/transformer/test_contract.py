"""Tests what becomes of answers that do not fit the contract of their schema, before they are evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import BatchEvaluated, BatchTransformed, RecordsQuarantined
from loom_common.domain.schema.columns import Column
from loom_common.errors import PermanentError
from loom_common.flow import Stage
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

OPEN = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
AI = {"type": "ai", "prompt": "Judge {{ input.review }}", "model": "gpt-4o-mini", "output": OPEN}
STORED = {"mood": Column(type="string"), "sure": Column(type="boolean")}
ANSWER = {"mood": "good", "sure": 0.9, "why": "kind words"}


async def results(contract, stored=STORED, answer=ANSWER):
    """Return what goes on to evaluation, the records kept back, and the fact of a batch that a model answered."""
    plan = plan_of({**AI, "schema": contract}, schemas={Stage.TRANSFORM: stored} if stored else {})
    model = ScriptedModel(answer_of(json.dumps(answer)))
    catalog = Catalog(JournalledModels(model, MemoryJournal()), Path())
    transformer = Transformer(runner_of(GivenPlans(plan), catalog.transform_of, Stage.TRANSFORM))
    *others, fact = await outgoing_of(transformer, batch_of(plan, [{"review": "fine"}]))
    forward = [one.message for one in others if isinstance(one.message, BatchTransformed | BatchEvaluated)]
    outputs = [each.output for message in forward for each in message.records]
    kept = [each for one in others if isinstance(one.message, RecordsQuarantined) for each in one.message.records]
    return outputs, kept, fact.message


@pytest.mark.parametrize(
    ("contract", "output"),
    [
        ("auto", ANSWER),
        ("warn", ANSWER),
        ({"columns": "discard_value"}, {"mood": "good", "sure": 0.9}),
        ({"types": "discard_value"}, {"mood": "good", "sure": None, "why": "kind words"}),
        ("discard_value", {"mood": "good", "sure": None}),
        ({"columns": "discard_row"}, None),
        ({"types": "discard_row"}, None),
    ],
)
async def test_a_contract_decides_what_becomes_of_an_answer(contract, output):
    outputs, kept, fact = await results(contract)
    assert outputs == ([] if output is None else [output])
    assert [each.code for each in kept] == ([] if output else ["schema_contract"])
    assert (fact.columns is not None) == (output is not None)


async def test_what_is_kept_back_names_the_contract_and_has_the_answer():
    _, (kept,), _ = await results({"types": "discard_row"})
    assert kept.output == ANSWER
    assert (kept.details["contract"], kept.details["field"]) == ("transform.schema", "sure")


@pytest.mark.parametrize(("part", "named"), [("columns", "'why' is new"), ("types", "'sure' is boolean")])
async def test_a_frozen_part_fails_the_run_and_names_the_field(part, named):
    with pytest.raises(PermanentError, match=named.replace("'", ".")):
        await results({part: "freeze"})


async def test_answers_are_held_to_the_declared_output_until_a_version_is_stored():
    outputs, _, fact = await results({"columns": "discard_value"}, stored=None)
    assert outputs == [{"mood": "good"}]
    assert list(fact.columns) == ["mood"]


async def test_a_passthrough_with_a_schema_holds_records_to_it():
    plan = plan_of(
        {"type": "passthrough", "schema": {"columns": "discard_value"}},
        schemas={Stage.TRANSFORM: {"n": Column(type="integer")}},
    )
    catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), Path())
    transformer = Transformer(runner_of(GivenPlans(plan), catalog.transform_of, Stage.TRANSFORM))
    forward, _ = await outgoing_of(transformer, batch_of(plan, [{"n": 1, "m": 2}, {"n": 3}]))
    assert [each.result for each in forward.message.records] == [{"n": 1}, {"n": 3}]
