"""Facts that arrive together are taken in one transaction, on SQLite and Postgres."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from loom_common.contracts.v1 import BatchFact, BatchHeader, BatchUnderWay, Evaluation
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.db import run_rows, run_totals
from loom_coordinator.db.tables.outcomes import record_evaluations
from loom_coordinator.db.tables.work import batches
from loom_coordinator.db.unit_of_work import begin
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle.run_progress import progress
from support.run_rows import NOW, begun_run

RUN = "run_1"


@pytest.fixture
async def unit(engine):
    """Provide a transaction in which a run has begun."""
    async with begun_run(engine) as unit:
        yield unit


def transformed(position: int) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, position), partition=0, slice=0,
        position=position, tally=Tally(extracted=5, transformed=5),
    )  # fmt: skip
    return BatchFact(header=header, stage=Stage.TRANSFORM, seconds=0.1)


def evaluated(explanation: str) -> BatchFact:
    scored = Evaluation(record_id=explanation, name="fit", score=0.5, passed=False, explanation=explanation)
    fact = transformed(0)
    return fact.model_copy(update={"stage": Stage.EVALUATE, "evaluations": (scored,)})


async def test_all_facts_of_a_group_are_taken_at_once(unit):
    group = [transformed(position) for position in range(3)]
    await apply_facts.take(unit, group)

    known = await unit.connection.execute(select(batches.c.position).order_by(batches.c.position))
    assert list(known.scalars()) == [0, 1, 2]
    totals = (await run_totals.read(unit, [RUN]))[RUN]
    assert (totals.tally, totals.underway) == (Tally(extracted=15, transformed=15), 3)


async def test_facts_that_come_again_change_nothing(unit):
    group = [transformed(position) for position in range(3)]
    await apply_facts.take(unit, group)
    once = (await run_totals.read(unit, [RUN]))[RUN]
    await apply_facts.take(unit, [*group, *group])

    assert (await run_totals.read(unit, [RUN]))[RUN] == once


async def test_text_that_the_database_does_not_hold_spoils_no_group(unit):
    await apply_facts.take(unit, [evaluated("a\x00b"), evaluated("c")])

    kept = await unit.connection.execute(select(record_evaluations.c.explanation))
    assert len(list(kept.scalars())) == 2


async def test_a_request_that_comes_again_is_known(unit):
    assert [await unit.first_time(each) for each in ("first", "second", "first")] == [True, True, False]


async def test_two_coordinators_that_take_facts_of_one_run_count_them_all(engine):
    async with begun_run(engine):
        pass

    async def take(position: int) -> None:
        async with begin(engine, NOW, None) as unit:
            await apply_facts.take(unit, [transformed(position)])

    await asyncio.gather(*map(take, range(12)))

    async with begin(engine, NOW, None) as unit:
        totals = (await run_totals.read(unit, [RUN]))[RUN]
    assert (totals.tally.extracted, totals.underway) == (60, 12)


async def test_what_a_stage_is_done_with_has_been_through_the_stages_before_it(unit):
    """Show no stage ahead of the one before it, though a worker tells of a batch before the batch's facts arrive."""
    await apply_facts.take(unit, [transformed(0)])
    loading = BatchUnderWay(run_id=RUN, batch_id=batch_id(RUN, 0, 0, 0), epoch=1, stage=Stage.LOAD, done=3)
    run = (await run_rows.lock(unit, [RUN]))[RUN]

    shown = await progress(unit, run, [loading])
    assert {stage: each.records_out for stage, each in shown.stages.items()} == {
        Stage.EXTRACT: 5,
        Stage.TRANSFORM: 5,
        Stage.EVALUATE: 3,
        Stage.LOAD: 3,
    }
