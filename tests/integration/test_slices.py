"""Tests slices under credit on SQLite and Postgres: asked for one at a time, answered once, exhausted at the end."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from loom_common.contracts.v1 import BatchFact, BatchHeader, SlicedBatch, SliceExtracted
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.accounting.batch import DONE, UNDERWAY
from loom_coordinator.db import run_rows, run_totals
from loom_coordinator.db.tables.work import batches as batches_table
from loom_coordinator.db.tables.work import run_totals as run_totals_table
from loom_coordinator.db.tables.work import slices
from loom_coordinator.flow_control.windows import Awaited
from loom_coordinator.lifecycle import partitions as lifecycle_partitions
from loom_coordinator.lifecycle import slices as lifecycle_slices
from loom_coordinator.lifecycle.slices import Extraction
from support.run_rows import apply, begun_run

RUN = "run_1"
BATCHES, WINDOW = 2, 4


@pytest.fixture
async def unit(engine):
    """Provide a transaction in which a run has begun."""
    async with begun_run(engine, slice_batches=BATCHES, credit_window=WINDOW) as unit:
        yield unit


async def release(unit) -> Extraction:
    return await lifecycle_slices.release(unit, (await run_rows.lock(unit, [RUN]))[RUN])


async def asked(unit) -> list[int]:
    rows = await unit.connection.execute(select(slices.c.slice).where(slices.c.run_id == RUN).order_by(slices.c.slice))
    return list(rows.scalars())


def answer(number: int, records: int, *, end: bool = False, each: int = 5) -> SliceExtracted:
    sizes = [min(each, records - start) for start in range(0, records, each)]
    made = tuple(
        SlicedBatch(batch_id=batch_id(RUN, 0, number, at), position=at, tally=Tally(extracted=size))
        for at, size in enumerate(sizes)
    )
    return SliceExtracted(
        run_id=RUN, pipeline="p", epoch=1, partition=0, slice=number, batches=made, cursor={"at": number + 1}, end=end
    )


async def take(unit, *facts: SliceExtracted) -> None:
    await apply(unit, *facts)
    for fact in facts:
        await lifecycle_slices.answered(unit, fact)


async def test_a_partition_is_asked_for_one_slice_at_a_time(unit):
    await lifecycle_partitions.begin(unit, RUN, None)

    await release(unit)
    await release(unit)
    assert await asked(unit) == [0]


async def test_slices_are_asked_for_while_the_window_has_room(unit):
    await lifecycle_partitions.begin(unit, RUN, None)
    for number in range(WINDOW // BATCHES):
        await release(unit)
        await take(unit, answer(number, records=10))

    assert await release(unit) == Extraction(ended=False, awaited=Awaited(BATCHES))
    assert await asked(unit) == [0, 1]
    assert (await run_totals.read(unit, [RUN]))[RUN].underway == WINDOW


async def test_beside_the_answer_so_many_ends_are_awaited_as_the_next_slice_lacks_room(unit):
    await lifecycle_partitions.begin(unit, RUN, None)
    assert (await release(unit)).awaited == Awaited(0, answer=True, asked=BATCHES)
    await take(unit, answer(0, records=10))

    lacking = Awaited(BATCHES, answer=True, asked=BATCHES)
    assert [(await release(unit)).awaited, (await release(unit)).awaited] == [lacking, lacking]


async def test_the_answers_of_a_run_in_sequence_wait_for_no_ends(unit):
    await run_rows.change(unit, RUN, definition={"order_by": ["customer"]})
    await lifecycle_partitions.begin(unit, RUN, None)

    assert [(await release(unit)).awaited, (await release(unit)).awaited] == [None, None]


async def test_an_answer_counts_once(unit):
    await lifecycle_partitions.begin(unit, RUN, 12)
    await release(unit)
    await take(unit, answer(0, records=10))
    await lifecycle_slices.answered(unit, answer(0, records=10))
    await unit.connection.execute(run_totals_table.delete())  # so that the window has room
    await release(unit)

    rows = await unit.connection.execute(select(slices.c.slice, slices.c.cursor, slices.c.record_limit))
    assert sorted(rows.all()) == [(0, None, 12), (1, {"at": 1}, 2)]


@pytest.mark.parametrize(("limit", "end"), [(10, False), (None, True), (8, False)])
async def test_a_run_is_exhausted_by_the_source_s_end_or_by_its_own_limit(unit, limit, end):
    await lifecycle_partitions.begin(unit, RUN, limit)
    await release(unit)
    assert not await lifecycle_slices.exhausted(unit, RUN)
    await take(unit, answer(0, records=10, end=end))

    assert await lifecycle_slices.exhausted(unit, RUN)
    assert await release(unit) == Extraction(ended=True)


async def test_a_later_fact_finds_the_batch_that_an_earlier_one_told_of(unit):
    await lifecycle_partitions.begin(unit, RUN, None)
    told = answer(0, records=10)
    await take(unit, told)
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=told.batches[1].batch_id, partition=0, slice=0,
        position=1, tally=Tally(extracted=5, transformed=5, passed=5, loaded=5),
    )  # fmt: skip
    await apply(unit, BatchFact(header=header, stage=Stage.LOAD, seconds=0.1))

    rows = await unit.connection.execute(select(batches_table.c.state).order_by(batches_table.c.position))
    assert list(rows.scalars()) == [UNDERWAY, DONE]
