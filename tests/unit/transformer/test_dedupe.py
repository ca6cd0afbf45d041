"""Tests the step that drops records whose values another record of the run has."""

from __future__ import annotations

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.stores.memory.seen_values import MemorySeenValues
from loom_common.flow import Stage
from loom_transformer.handler import Transformer
from loom_transformer.steps.dedupe import SeenStore
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel
from support.stepping import counts, fact_of, kept, outputs

ONCE = {"name": "once", "type": "dedupe", "by": ["name", "city"]}


class Worker:
    """Takes batches of a run, or of a replay of it, through the step, as one of several workers that share a store."""

    def __init__(self, tmp_path, seen, steps=(ONCE,), **plan):
        self.plan = plan_of({"steps": list(steps)}, every_hop=True, **plan)
        catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path, seen=SeenStore(lambda: seen))
        self.transformer = Transformer(runner_of(GivenPlans(self.plan), catalog.transform_of, Stage.TRANSFORM))

    async def take(self, *inputs, prefix="", run_id="run_1"):
        batch = batch_of(self.plan, inputs, run_id)
        records = tuple(type(each)(f"{prefix}{each.id}", each.input) for each in batch.records)
        batch = batch.model_copy(update={"records": records})
        return [each.message for each in await outgoing_of(self.transformer, batch)]


def lamp(city, name="lamp"):
    return {"name": name, "city": city}


async def test_of_records_with_the_same_values_the_first_goes_on_also_when_it_comes_again(tmp_path):
    seen = MemorySeenValues()
    first = await Worker(tmp_path, seen).take(lamp("Rome"), lamp("Rome"), lamp("Bonn"))
    again = await Worker(tmp_path, seen).take(lamp("Rome"), lamp("Rome"), lamp("Bonn"))
    assert list(outputs(first)) == list(outputs(again)) == ["r0", "r2"]
    other = await Worker(tmp_path, seen).take(lamp("Rome"), lamp("Bonn", "desk"), lamp(1), lamp("1"), prefix="b")
    assert list(outputs(other)) == ["br1", "br2"]  # values are compared as texts
    assert fact_of(other).header.tally.filtered == 2
    assert counts(other, "seen", "filtered") == {"once": (4, 2)}
    assert list(outputs(await Worker(tmp_path, seen).take(lamp("Rome"), run_id="run_2"))) == ["r0"]


async def test_records_without_a_value_go_on_and_those_without_the_field_fail(tmp_path):
    made = await Worker(tmp_path, MemorySeenValues()).take(lamp(None), lamp(None), {"name": "lamp"}, lamp(["Rome"]))
    assert list(outputs(made)) == ["r0", "r1"]
    assert {name: each.code for name, each in kept(made).items()} == {"r2": "missing_field", "r3": "group_value"}
    assert kept(made)["r2"].reason == "Step once: the record has no field 'city'"


async def test_a_record_that_is_run_again_is_the_first_still(tmp_path):
    seen = MemorySeenValues()
    await Worker(tmp_path, seen).take(lamp("Rome"), lamp("Bonn"))
    replay = {"replay": {"run_id": "run_2", "origin": "run_1"}}
    again = await Worker(tmp_path, seen, **replay).take(lamp("Rome"), run_id="run_3")
    assert list(outputs(again)) == ["r0"]
    copied = await Worker(tmp_path, seen, **replay).take(lamp("Rome"), prefix="b", run_id="run_3")
    assert outputs(copied) == {}
