"""Tests that the totals of a run are what its batches add up to, whatever facts come, in whatever order."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from loom_common.contracts.v1 import BatchFact, BatchHeader, CallsPaid, RecordsKept, SlicedBatch, SliceExtracted
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.accounting import running_totals
from loom_coordinator.accounting.batch import DONE, Batch
from loom_coordinator.accounting.batches import Fact
from loom_coordinator.db.run_totals import RunTotals
from loom_coordinator.db.tables.work import batches
from loom_coordinator.queries.audit import books as audit
from support.run_rows import NOW, apply, run_state, the_run

RUN = "run_1"
PAID = Calls(purpose="transform", provider="p", model="m", made=4, tokens_in=8, tokens_out=4, cost=0.25)


def header(position: int, tally: Tally) -> BatchHeader:
    name = batch_id(RUN, 0, 0, position)
    return BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=name, partition=0, slice=0, position=position,
        tally=tally,
    )  # fmt: skip


def story(position: int) -> list[Fact]:
    """Return all that is told of one batch, in order."""
    read = Tally(extracted=5, quarantined=1)
    changed = read.plus(transformed=4, calls_made=4, tokens_in=8, tokens_out=4, cost_transform=0.25)
    judged = changed.plus(passed=3, rejected=1)
    of = header(position, read).batch_id
    sliced = SlicedBatch(batch_id=of, position=position, tally=read)
    return [
        SliceExtracted(run_id=RUN, pipeline="p", epoch=1, partition=0, slice=0, batches=(sliced,), cursor=1, end=True),
        CallsPaid(header=header(position, read), stage=Stage.TRANSFORM, calls=(PAID,)),
        BatchFact(
            header=header(position, changed), stage=Stage.TRANSFORM, seconds=0.5, latency={3: 4}, waited={1: 4},
            calls=(PAID,),
        ),
        BatchFact(header=header(position, judged), stage=Stage.EVALUATE, seconds=0.25),
        BatchFact(header=header(position, judged.plus(loaded=3)), stage=Stage.LOAD, seconds=0.125),
        RecordsKept(run_id=RUN, batch_id=of, kept=1),
        RecordsKept(run_id=RUN, batch_id=of, kept=2),
    ]  # fmt: skip


FACTS = [fact for position in range(3) for fact in story(position)]


async def end(groups: list[list[Fact]]) -> None:
    async with run_state() as unit:
        for group in groups:
            await apply(unit, *group)
        totals = (await the_run(unit)).totals
        rows = (await unit.connection.execute(batches.select())).mappings().all()
        books = await audit.books(unit.connection, RUN, None)
    assert totals.tally == books.batches
    assert totals.done == sum(row["state"] == DONE for row in rows)
    assert totals.underway == len(rows) - totals.done
    assert totals.ended == sum(row["extracted"] for row in rows if row["state"] == DONE)
    for stage in Stage:
        assert totals.worked(stage) == sum(row["seconds"].get(stage.value, 0.0) for row in rows)
    assert sum(totals.latency.values()) == sum(sum(row["latency"].values()) for row in rows)
    assert sum(totals.waited.values()) == sum(sum((row["waited"] or {}).values()) for row in rows)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from(FACTS), min_size=1, max_size=6), max_size=6))
def test_totals_are_what_the_batches_add_up_to(groups):
    asyncio.run(end([*groups, FACTS]))


def ended(position: int) -> Batch:
    return Batch(
        RUN, str(position), partition=0, slice=0, position=position, stage=Stage.LOAD,
        tally=Tally(extracted=10, transformed=10, passed=10, loaded=10),
    )  # fmt: skip


def test_the_rate_is_that_of_the_last_minute():
    totals = RunTotals()
    for second in range(0, 200, 2):
        totals = running_totals.changed(totals, [(None, ended(second))], NOW + dt.timedelta(seconds=second))
    now = NOW + dt.timedelta(seconds=199)

    assert abs(running_totals.records_per_second(totals, 199.0, now) - 5.0) < 0.5
    assert len(totals.lately) < 20
    assert running_totals.records_per_second(totals, 1000.0, now + dt.timedelta(hours=1)) == 0.0


def test_a_young_run_has_its_rate_from_its_beginning():
    totals = running_totals.changed(RunTotals(), [(None, ended(0))], NOW)
    assert running_totals.records_per_second(totals, 20.0, NOW) == 0.5


def test_a_change_of_a_batch_takes_the_place_of_what_was_counted_of_it():
    begun = replace(ended(0), stage=Stage.TRANSFORM, tally=Tally(extracted=10, transformed=10))
    totals = running_totals.changed(RunTotals(), [(None, begun)], NOW)
    totals = running_totals.changed(totals, [(begun, ended(0))], NOW)
    assert (totals.tally, totals.underway, totals.done) == (ended(0).tally, 0, 1)
