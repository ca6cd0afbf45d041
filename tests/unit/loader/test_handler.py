"""Tests that an evaluated batch in gives rows in the destination."""

import pytest

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchFact,
    BatchHeader,
    EvaluatedRecord,
    FinalizeLoad,
    LoadFinalized,
    RecordsQuarantined,
)
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.tally import Tally
from loom_common.errors import DependencyUnavailable, DestinationError, PermanentError
from loom_connectors.ports.destination import FailedRow, LoadResult
from loom_loader.handler import Loader
from loom_loader.outputs import LARGEST, outputs_of
from support.handling import outgoing_of


class MemoryDestination:
    """Represents a destination in memory. Refuses rows whose `n` is negative; holds each batch once."""

    location = "memory:destination"
    stages = False

    def __init__(self, trouble=None):
        self.batches = {}
        self.finalized = []
        self.trouble = trouble
        self.closed = False

    async def load(self, batch):
        if self.trouble:
            raise self.trouble
        self.batches[batch.batch_id] = batch
        failed = [FailedRow(row.record_id, "constraint", "n must not be negative") for row in batch.rows if _bad(row)]
        return LoadResult(len(batch.rows) - len(failed), failed)

    async def finalize(self, run_id, *, complete, keep=False):
        self.finalized.append((run_id, complete))
        return True

    async def close(self):
        self.closed = True


class Forgetful(MemoryDestination):
    async def load(self, batch):
        return LoadResult(loaded=0)


def _bad(row):
    return row.values["n"] < 0


class Harness:
    """Runs a loader with a destination of its own."""

    def __init__(self, folder, destination=None, extract=None, **load):
        self.plan = Plan(
            pipeline=parse(
                {
                    "name": "p",
                    "extract": {"source": "x.csv", "key": "id", **(extract or {})},
                    "transform": {"type": "passthrough"},
                    "load": {"destination": "y.csv", **load},
                }
            )
        )
        self.destination = destination or MemoryDestination()
        self.opened = 0
        self.payloads = FolderPayloads(folder)
        self.destinations = ResourceCache()
        self.loader = Loader(PlanCache(self.payloads), self.destinations, self.open)

    def open(self, plan):
        self.opened += 1
        return self.destination

    async def load(self, *records):
        header = BatchHeader(
            run_id="run_1",
            pipeline="p",
            plan=await self.payloads.put(self.plan.encoded()),
            epoch=1,
            batch_id="b1",
            partition=0,
            slice=2,
            position=1,
            tally=Tally(extracted=len(records), transformed=len(records), passed=len(records)),
        )
        return await outgoing_of(self.loader.load, BatchEvaluated(header=header, records=records))


def record(number, n, **scores):
    return EvaluatedRecord(id=number, input={"id": number, "text": "t", "n": 0}, output={"n": n}, scores=scores)


async def test_a_row_is_its_key_what_is_included_and_its_output(tmp_path):
    harness = Harness(tmp_path, include=["text", "n"])
    await harness.load(record("1", 5))
    [batch] = harness.destination.batches.values()
    assert [row.values for row in batch.rows] == [{"id": "1", "text": "t", "n": 5}]
    assert batch.run_id == "run_1"
    assert batch.partition == 0
    assert batch.slice == 2
    assert batch.position == 1


async def test_a_record_without_an_included_field_is_kept_back_and_its_neighbours_loaded(tmp_path):
    harness = Harness(tmp_path, include=["text"])
    outgoing = await harness.load(
        record("1", 5), EvaluatedRecord(id="2", input={"id": "2", "txet": "t"}, output={"n": 1})
    )
    [batch] = harness.destination.batches.values()
    assert [row.record_id for row in batch.rows] == ["1"]
    [kept] = [each.message for each in outgoing if isinstance(each.message, RecordsQuarantined)]
    [only] = kept.records
    assert (only.record_id, only.code) == ("2", "missing_field")
    assert "names 'text', which the record at 2 lacks; it has id, txet. Did you mean 'txet'?" in only.reason


async def test_without_key_and_include_a_row_is_the_output(tmp_path):
    harness = Harness(tmp_path, extract={"key": None})
    await harness.load(record("1", 5))
    assert harness.destination.batches["b1"].rows[0].values == {"n": 5}


async def test_of_a_passthrough_the_whole_input_is_loaded(tmp_path):
    harness = Harness(tmp_path)
    await harness.load(EvaluatedRecord(id="1", input={"id": "1", "n": 3}, output=None))
    assert harness.destination.batches["b1"].rows[0].values == {"id": "1", "n": 3}


async def test_the_fact_tells_what_was_loaded(tmp_path):
    [only] = await Harness(tmp_path).load(record("1", 1), record("2", 2))
    assert str(only.route) == "loom.events/batch.loaded.p"
    assert only.message.header.tally.loaded == 2
    assert only.message.header.tally.balanced


async def test_a_refused_row_is_kept_with_its_reason_and_its_neighbours_load(tmp_path):
    quarantined, fact = (each.message for each in await Harness(tmp_path).load(record("1", 1), record("2", -2, a=0.9)))
    assert isinstance(quarantined, RecordsQuarantined)
    [kept] = quarantined.records
    assert (kept.record_id, kept.code, kept.reason) == ("2", "constraint", "n must not be negative")
    assert (kept.outcome, kept.scores, kept.output) == ("quarantined", {"a": 0.9}, {"n": -2})
    assert isinstance(fact, BatchFact)
    assert (fact.header.tally.loaded, fact.header.tally.quarantined) == (1, 1)


async def test_a_refused_row_may_be_skipped_or_end_the_run(tmp_path):
    _, fact = await Harness(tmp_path, on_failure="skip").load(record("1", -1))
    assert fact.message.header.tally.skipped == 1
    with pytest.raises(PermanentError, match="Record 1: n must not be negative"):
        await Harness(tmp_path, on_failure="abort").load(record("1", -1))


@pytest.mark.parametrize("trouble", [DependencyUnavailable("away"), DestinationError("read-only")])
async def test_trouble_of_the_whole_destination_is_passed_on(tmp_path, trouble):
    with pytest.raises(type(trouble)):
        await Harness(tmp_path, MemoryDestination(trouble)).load(record("1", 1))


async def test_a_destination_that_loses_count_of_rows_fails_the_run(tmp_path):
    with pytest.raises(DestinationError, match="accounts for 0 loaded and 0 refused of 1 row"):
        await Harness(tmp_path, Forgetful()).load(record("1", 1))


@pytest.mark.parametrize("complete", [True, False])
async def test_the_end_of_the_load_is_told_with_its_place(tmp_path, complete):
    harness = Harness(tmp_path)
    plan = await harness.payloads.put(harness.plan.encoded())
    [only] = await outgoing_of(
        harness.loader.finalize, FinalizeLoad(run_id="run_1", pipeline="p", plan=plan, epoch=4, complete=complete)
    )
    assert harness.destination.finalized == [("run_1", complete)]
    assert str(only.route) == "loom.events/load.finalized.p"
    assert only.message == LoadFinalized(run_id="run_1", epoch=4, location="memory:destination")


async def test_a_destination_is_opened_once_and_closed_at_the_end(tmp_path):
    harness = Harness(tmp_path)
    async with harness.destinations.closing():
        await harness.load(record("1", 1))
        await harness.load(record("1", 1))
    assert (harness.opened, harness.destination.closed) == (1, True)


def test_outputs_are_those_of_the_rows_that_were_not_refused_and_large_ones_are_left_out():
    records = [
        EvaluatedRecord("a", {"n": 1}, {"text": "x"}),
        EvaluatedRecord("b", {"n": 1}, None),
        EvaluatedRecord("c", {"n": -1}, {"text": "y"}),
        EvaluatedRecord("d", {"n": 1}, {"text": "z" * LARGEST}),
    ]
    found = outputs_of(records, [FailedRow("c", "constraint", "n must not be negative")])
    assert [(each.record_id, each.output) for each in found] == [("a", {"text": "x"}), ("b", {"n": 1}), ("d", None)]
