"""Tests what becomes of rows that the first destination does not take."""

from __future__ import annotations

import pytest

from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import BatchEvaluated, BatchFact, EvaluatedRecord, FinalizeLoad, RecordsQuarantined
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import BreakerOpen, DependencyUnavailable, DestinationError
from loom_common.worker.context import Context
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadResult
from loom_loader.handler import Loader
from support.clocks import ManualClock
from support.handling import outgoing_of
from support.plans import GivenPlans, batch_of, plan_of

FIRST = Attempt()


class Place:
    """Represents a destination that refuses what it is told to, and keeps a ledger."""

    guarantee = Guarantee.LEDGER
    stages = False

    def __init__(self, location: str) -> None:
        self.location = location
        self.refuses: dict[str, int] = {}
        self.trouble: list[Exception] = []
        self.rows: list[str] = []
        self.ledger: dict[str, LoadResult] = {}
        self.finalized: list[str] = []

    async def load(self, batch):
        if self.trouble:
            raise self.trouble.pop(0)
        if batch.batch_id not in self.ledger:
            failed = [FailedRow(row.record_id, "constraint", "odd") for row in batch.rows if self._refused(row)]
            names = {row.record_id for row in failed}
            self.rows += [row.record_id for row in batch.rows if row.record_id not in names]
            self.ledger[batch.batch_id] = LoadResult(len(batch.rows) - len(failed), tuple(failed))
        return self.ledger[batch.batch_id]

    def _refused(self, row) -> bool:
        left = self.refuses.get(row.record_id, 0)
        self.refuses[row.record_id] = left - 1
        return left > 0

    async def finalize(self, run_id, *, complete, keep=False):
        self.finalized.append(run_id)
        return True

    async def close(self):
        pass


class Plant:
    def __init__(self, **load) -> None:
        plan = plan_of({"type": "passthrough"})
        pipeline = plan.pipeline.model_copy(update={"load": plan.pipeline.load.model_copy(update=load)})
        self.plan = plan.model_copy(update={"pipeline": pipeline})
        self.places = {name: Place(name) for name in ("out.csv", "second.csv")}
        self.clock = ManualClock()
        self.loader = Loader(
            GivenPlans(self.plan),
            ResourceCache(),
            lambda plan: self.places[plan.pipeline.load.destination],
        )

    @property
    def first(self) -> Place:
        return self.places["out.csv"]

    @property
    def second(self) -> Place:
        return self.places["second.csv"]

    async def load(self, count: int = 3, attempt: Attempt = FIRST) -> tuple[int, list[str]]:
        """How many the tally says are loaded, and who is quarantined."""
        batch = batch_of(self.plan, [{"n": n} for n in range(count)])
        records = tuple(EvaluatedRecord(id=each.id, input=each.input, output=None) for each in batch.records)
        message = BatchEvaluated(header=batch.header, records=records)
        context = Context(attempt, clock=self.clock)
        out = [each.message for each in await outgoing_of(self.loader.load, message, context)]
        [fact] = [each for each in out if isinstance(each, BatchFact)]
        kept = [record.record_id for each in out if isinstance(each, RecordsQuarantined) for record in each.records]
        assert fact.header.tally.balanced
        return fact.header.tally.loaded, kept


FALLBACK = {"on_failure": "fallback", "fallback": "second.csv"}


async def test_only_refused_rows_go_to_the_second_destination():
    plant = Plant(**FALLBACK)
    plant.first.refuses = {"r1": 9}
    assert await plant.load() == (3, [])
    assert (plant.first.rows, plant.second.rows) == (["r0", "r2"], ["r1"])


async def test_what_the_second_refuses_too_is_kept_back():
    plant = Plant(**FALLBACK)
    plant.first.refuses, plant.second.refuses = {"r0": 9, "r1": 9}, {"r1": 9}
    assert await plant.load() == (2, ["r1"])


async def test_a_batch_that_comes_twice_is_in_both_once():
    plant = Plant(**FALLBACK)
    plant.first.refuses = {"r1": 9}
    assert await plant.load() == await plant.load()
    assert (plant.first.rows, plant.second.rows) == (["r0", "r2"], ["r1"])


async def test_a_destination_that_cannot_be_written_is_stood_in_for():
    plant = Plant(**FALLBACK)
    plant.first.trouble = [DestinationError("there is no such table")]
    assert await plant.load() == (3, [])
    assert plant.second.rows == ["r0", "r1", "r2"]


async def test_a_destination_that_is_away_is_waited_for():
    plant = Plant(**FALLBACK)
    plant.first.trouble = [DependencyUnavailable("gone")]
    with pytest.raises(DependencyUnavailable):
        await plant.load()
    assert plant.second.rows == []


async def test_at_the_last_attempt_it_is_stood_in_for():
    plant = Plant(**FALLBACK)
    plant.first.trouble = [DependencyUnavailable("gone")]
    assert await plant.load(attempt=Attempt(5, last=True)) == (3, [])
    assert plant.second.rows == ["r0", "r1", "r2"]


async def test_after_five_failures_in_a_row_nobody_asks_the_destination():
    plant = Plant()
    plant.first.trouble = [DependencyUnavailable("gone") for _ in range(6)]
    for expected in [DependencyUnavailable] * 4 + [BreakerOpen] * 2:
        with pytest.raises(expected):
            await plant.load()
    assert len(plant.first.trouble) == 1


async def test_without_a_fallback_its_error_is_the_runs():
    plant = Plant()
    plant.first.trouble = [DestinationError("there is no such table")]
    with pytest.raises(DestinationError):
        await plant.load()


async def test_retry_brings_in_rows_that_are_refused_at_first():
    plant = Plant(on_failure="retry")
    plant.first.refuses = {"r0": 1, "r1": 2, "r2": 9}
    assert await plant.load() == (2, ["r2"])
    assert plant.first.rows == ["r0", "r1"]
    assert len(plant.clock.slept) == 2


async def test_a_retried_batch_that_comes_twice_is_in_once():
    plant = Plant(on_failure="retry")
    plant.first.refuses = {"r0": 1}
    assert await plant.load() == await plant.load() == (3, [])
    assert sorted(plant.first.rows) == ["r0", "r1", "r2"]


async def test_both_destinations_are_finalized():
    plant = Plant(**FALLBACK)
    message = FinalizeLoad(run_id="run_1", pipeline="reviews", plan=plant.plan.hash, epoch=1, complete=True)
    [fact] = await outgoing_of(plant.loader.finalize, message)
    assert fact.message.location == "out.csv"
    assert (plant.first.finalized, plant.second.finalized) == (["run_1"], ["run_1"])
