"""Tests steps that make one record of many: batches go through the transformer, and groups are read as the extractor
reads them."""

from __future__ import annotations

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.group_members import MemoryGroupMembers
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import BatchExtracted, BatchFact, BatchTransformed, ExtractSlice, SliceExtracted
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_common.worker import router
from loom_common.worker.context import Context
from loom_extractor import groups as reading
from loom_extractor.groups import GroupReader
from loom_transformer.grouping import Groups
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.own_queues import Processes
from support.pieces import MOST_PAGES
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel
from support.stepping import CODE, kept, step

BY = {"name": "by", "type": "group", "by": "kind", "fields": {"many": "count", "sum": {"sum": "n"}}}


class Run:
    """Takes batches of a plan through its steps, and reads its groups, as the services of a run do."""

    def __init__(self, tmp_path, steps, batch_size=2, **changes):
        (tmp_path / "stepcode.py").write_text(CODE, encoding="utf-8")
        self.plan = plan_of({"steps": steps}, every_hop=True, **changes)
        extract = self.plan.pipeline.extract.model_copy(update={"batch_size": batch_size})
        pipeline = self.plan.pipeline.model_copy(update={"extract": extract})
        self.plan = self.plan.model_copy(update={"pipeline": pipeline})
        self.store = MemoryGroupMembers()
        catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path)
        runner = runner_of(GivenPlans(self.plan), catalog.transform_of, Stage.TRANSFORM)
        self.transformer = Transformer(runner, Groups(lambda: self.store))
        self.tally = Tally()

    async def batch(self, inputs, position=0, *, counts=True):
        batch = batch_of(self.plan, inputs)
        header = batch.header.model_copy(update={"position": position})
        records = [type(each)(f"{position}{each.id}", each.input) for each in batch.records]
        return await self.taken(batch.model_copy(update={"header": header, "records": tuple(records)}), counts=counts)

    async def taken(self, batch, *, counts=True):
        messages = [each.message for each in await outgoing_of(self.transformer, batch)]
        if counts:
            self.tally += next(each for each in messages if isinstance(each, BatchFact)).header.tally
        return messages

    async def groups(self, name="by", partition=1, max_batches=2):
        """Read all groups of a step, slice by slice, and take them through the steps after it."""
        messages, cursor, end, number = [], None, False, 0
        reader = GroupReader(lambda: self.store)
        while not end:
            assert number < MOST_PAGES, "The groups have no end."
            request = ExtractSlice(
                run_id="run_1", pipeline="reviews", plan=self.plan.hash, epoch=1, partition=partition, slice=number,
                piece=Piece(group=name), cursor=cursor, max_batches=max_batches,
            )  # fmt: skip
            made = router.sliced(request, await reader.read(request, self.plan, name), Context())
            fact = next(each.message for each in made if isinstance(each.message, SliceExtracted))
            assert len(fact.batches) <= max_batches
            cursor, end, number = fact.cursor, fact.end, number + 1
            messages += [each.message for each in made]
            for each in made:
                if isinstance(each.message, BatchExtracted):
                    messages += await self.taken(each.message)
        return messages


def outputs(messages):
    batches = [each for each in messages if isinstance(each, BatchTransformed)]
    return {each.id: each.result for batch in batches for each in batch.records}


def ended(run):
    tally = run.tally
    return tally.extracted, tally.derived, tally.grouped, tally.unnested, tally.filtered, tally.transformed


def seen(messages, name):
    steps = [each for one in messages if isinstance(one, BatchFact) for each in one.steps if each.name == name]
    return sum(each.seen for each in steps), sum(each.derived for each in steps)


async def test_records_of_a_group_become_one_once_all_are_there_and_the_books_balance(tmp_path):
    run = Run(tmp_path, [BY, step("seen", ["by"])])
    first = await run.batch([{"kind": "a", "n": 1}, {"kind": "b", "n": 2}])
    assert not [each for each in first if isinstance(each, BatchTransformed)]
    await run.batch([{"kind": "a", "n": 5}], 1)
    assert run.tally.underway == 0
    made = await run.groups()
    assert outputs(made) == {
        "by#a": {"kind": "a", "many": 2, "sum": 6, "seen": ["kind", "many", "sum"]},
        "by#b": {"kind": "b", "many": 1, "sum": 2, "seen": ["kind", "many", "sum"]},
    }
    assert ended(run) == (3, 2, 3, 0, 0, 2)
    assert run.tally.underway == 2  # they are to be evaluated and loaded
    (batch,) = [each for each in made if isinstance(each, BatchTransformed)]
    derived = next(each.derived for each in batch.records if each.id == "by#a")
    assert (derived.parent, derived.step, derived.members) == ("0r0", "by", 2)
    assert seen(made, "by") == (0, 2)


async def test_a_batch_that_comes_again_adds_nothing_twice_and_what_it_lost_is_not_in_its_group(tmp_path):
    run = Run(tmp_path, [BY])
    await run.batch([{"kind": "a", "n": 1}, {"kind": "a", "n": 2}], counts=False)
    await run.batch([{"kind": "a", "n": 1}, {"kind": "a", "n": 2}], counts=False)
    await run.batch([{"kind": "a", "n": 1}, {"kind": [], "n": 2}])
    assert outputs(await run.groups()) == {"by#a": {"kind": "a", "many": 1, "sum": 1}}


async def test_a_large_group_becomes_several_records_whatever_the_size_of_slices(tmp_path):
    """Map and reduce: parts of a group are made and worked on at once, and grouped again."""
    steps = [
        {**BY, "size": 2, "fields": {"ns": {"list": "n"}}},
        step("seen", ["by"]),
        {"name": "all", "type": "group", "by": ["kind"], "fields": {"parts": {"list": "ns"}}, "needs": ["seen"]},
    ]
    numbers = [{"kind": "a", "n": each} for each in range(5)] + [{"kind": "b", "n": 9}]
    found = []
    for batch_size, max_batches in ((1, 1), (2, 1), (10, 3)):
        run = Run(tmp_path, steps, batch_size)
        await run.batch(numbers)
        made = await run.groups(max_batches=max_batches)
        whole = await run.groups("all", 2)
        assert outputs(made) == {}
        assert seen(made, "seen")[0] == 4
        assert ended(run) == (6, 6, 10, 0, 0, 2)
        found.append(outputs(whole))
    assert found[0] == found[1] == found[2] == {
        "all#a": {"kind": "a", "parts": [[0, 1], [2, 3], [4]]},
        "all#b": {"kind": "b", "parts": [[9]]},
    }  # fmt: skip


async def test_a_slice_ends_between_groups_where_they_have_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_MOST_MEMBERS", 3)
    monkeypatch.setattr(reading, "_PAGE", 2)
    run = Run(tmp_path, [BY])
    await run.batch([{"kind": "abc"[each % 3], "n": each} for each in range(12)])
    made = await run.groups(max_batches=9)
    assert {name: each["sum"] for name, each in outputs(made).items()} == {"by#a": 18, "by#b": 22, "by#c": 26}
    assert len([each for each in made if isinstance(each, SliceExtracted)]) == 3


async def test_parts_and_branches_are_grouped_and_records_of_one_group_fail_together(tmp_path):
    steps = [
        {"name": "lines", "type": "unnest", "field": "ns", "into": "n"},
        {"name": "route", "type": "router", "routes": {"even": "n % 2 == 0"}, "otherwise": "odd", "needs": "lines"},
        step("even", ["route.even"]),
        step("odd", ["route.odd"]),
        {**BY, "fields": {"sum": {"sum": "n"}, "all": {"list": "n"}}, "max_items": 2, "needs": ["even", "odd"]},
    ]
    run = Run(tmp_path, steps)
    await run.batch([{"ns": [1, 2, 4]}, {"ns": []}, {"ns": [3, 5]}])
    made = await run.groups()
    assert outputs(made) == {"by#even": {"kind": "even", "sum": 6, "all": [2, 4]}}
    assert ended(run)[:5] == (3, 5 + 2, 5, 2, 1)
    (back,) = kept(made).values()
    assert (back.record_id, back.input, back.code) == ("by#odd", {"kind": "odd"}, "too_many_items")
    assert back.reason.startswith("Step by: `all: {list: n}` cannot be made at the record")
    assert (back.derived.step, back.derived.members) == ("by", 3)
    fact = next(each for each in made if isinstance(each, SliceExtracted))
    assert sum((each.tally for each in fact.batches), Tally()).derived == 2


async def test_a_step_with_a_queue_of_its_own_changes_no_group_before_or_after_it(tmp_path):
    """Records are grouped once, by the process that takes the step, and a group goes on in the steps after it."""
    before, after = step("double"), step("seen", ["by"])
    group = {**BY, "by": "n", "fields": {"many": "count", "last": {"last": "double"}}, "needs": ["double"]}
    alone = Run(tmp_path, [before, group, after])
    apart = Run(tmp_path, [{**before, "queue": "own"}, group, {**after, "queue": "own"}])
    processes, hops = Processes(apart.plan, tmp_path, Groups(lambda: apart.store)), []

    async def taken(batch, *, counts=True):
        messages, over = await processes.through(batch)
        hops.append(over)
        apart.tally += next(each for each in messages if isinstance(each, BatchFact)).header.tally
        return messages

    apart.taken = taken
    for run in (alone, apart):
        for position in range(2):
            await run.batch([{"n": 1}, {"n": 2}, {"n": 1}], position)
    assert outputs(await apart.groups()) == outputs(await alone.groups()) != {}
    assert apart.tally == alone.tally
    assert hops == [[None, "double", None], [None, "double", None], [None, "seen"]]
    assert sorted(processes.declared) == ["double", "seen"]
