"""Tests partitions of a run: the source is split once, its pieces are read at the same time, a resume keeps them."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from loom_common.contracts.v1 import (
    BatchFact,
    BatchHeader,
    ExtractSlice,
    SlicedBatch,
    SliceExtracted,
    SourceSplit,
    SplitSource,
)
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan, Replay
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import partitions as partitions_table
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle import partitions, slices
from loom_coordinator.lifecycle.run_progress import progress
from support.run_rows import DEFINITION, run_state, sent, the_run

RUN = "run_1"
PIECES = (Piece(until=40), Piece(start=40, until=70), Piece(start=70))


def plan_with(**extract: object) -> Plan:
    return Plan.model_validate({"pipeline": {**DEFINITION, "extract": {"source": "in.csv", **extract}}})


@pytest.fixture
async def unit():
    """Provide a run that has asked into which pieces its source is split. Its slices have two batches."""
    extract = {"source": "in.csv", "partitions": 3}
    async with run_state(definition={**DEFINITION, "extract": extract}, credit_window=16) as unit:
        run = await the_run(unit)
        await partitions.begin(unit, RUN, None)
        await partitions.ask(unit, run)
        yield unit


def split(*pieces: Piece) -> SourceSplit:
    return SourceSplit(run_id=RUN, pipeline="p", epoch=1, pieces=pieces)


def read(partition: int, number: int, *, cursor: int, end: bool = False) -> SliceExtracted:
    """Return the answer to a slice: one batch of five records."""
    made = SlicedBatch(batch_id=batch_id(RUN, partition, number, 0), position=0, tally=Tally(extracted=5))
    return SliceExtracted(
        run_id=RUN, pipeline="p", epoch=1, partition=partition, slice=number, batches=(made,), cursor=cursor, end=end
    )


def done(partition: int, number: int) -> BatchFact:
    """Return the last fact of the batch of a slice."""
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, partition, number, 0),
        partition=partition, slice=number, position=0, tally=Tally(extracted=5, transformed=5, passed=5, loaded=5),
    )  # fmt: skip
    return BatchFact(header=header, stage=Stage.LOAD, seconds=0.1)


def asked(unit) -> list[tuple[int, int, object]]:
    return [(each.partition, each.slice, each.cursor) for each in sent(unit, ExtractSlice)]


@pytest.mark.parametrize(
    ("settings", "embedded", "may"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"partitions": 1}, False, False),
        ({"partitions": 4}, True, True),
        ({"partitions": "auto"}, True, False),
    ],
)
def test_who_asks_how_a_source_is_split(settings, embedded, may):
    assert partitions.may_be_split(plan_with(**settings), embedded=embedded) is may


def test_a_trial_and_a_replay_read_one_partition():
    plan = plan_with(partitions=4)
    for changed in ({"limit": 10}, {"replay": Replay(run_id="run_0", origin="run_0")}):
        assert not partitions.may_be_split(plan.model_copy(update=changed), embedded=False)


async def test_no_slice_is_asked_for_before_the_answer(unit):
    assert not (await slices.release(unit, await the_run(unit))).ended
    [question] = sent(unit, SplitSource)
    assert question.parts == 3
    assert not asked(unit)
    assert (await progress(unit, await the_run(unit))).total is None


async def test_the_pieces_are_read_at_the_same_time(unit):
    await apply_facts.take(unit, [split(*PIECES)])
    assert asked(unit) == [(0, 0, None), (1, 0, 40), (2, 0, 70)]
    assert [each.piece for each in sent(unit, ExtractSlice)] == list(PIECES)


async def test_a_source_that_is_one_piece_is_read_as_it_is_without_a_question(unit):
    await apply_facts.take(unit, [split(Piece())])
    assert asked(unit) == [(0, 0, None)]
    assert sent(unit, ExtractSlice)[0].piece is None


async def test_the_first_answer_counts(unit):
    await apply_facts.take(unit, [split(*PIECES)])
    await apply_facts.take(unit, [split(Piece(until=5), Piece(start=5)), split(*PIECES)])
    rows = await unit.connection.execute(select(partitions_table.c.cursor).order_by(partitions_table.c.partition))
    assert list(rows.scalars()) == [None, 40, 70]
    assert len(asked(unit)) == 3


async def test_the_question_is_asked_again_until_it_is_answered(unit):
    assert await slices.reissue(unit, await the_run(unit)) == 1
    assert len(sent(unit, SplitSource)) == 2
    await apply_facts.take(unit, [split(*PIECES)])
    await slices.reissue(unit, await the_run(unit))
    assert len(sent(unit, SplitSource)) == 2


async def test_a_slice_that_is_asked_for_again_is_of_the_same_piece(unit):
    await apply_facts.take(unit, [split(*PIECES)])
    await apply_facts.take(unit, [read(1, 0, cursor=45)])
    before = {(each.partition, each.slice): each for each in sent(unit, ExtractSlice)}
    assert await slices.reissue(unit, await the_run(unit)) == 4
    again = sent(unit, ExtractSlice)[-4:]
    assert [(each.partition, each.slice, each.positions) for each in again] == [
        (0, 0, None), (1, 0, (0,)), (1, 1, None), (2, 0, None)
    ]  # fmt: skip
    for each in again:
        assert each.model_copy(update={"positions": None}) == before[each.partition, each.slice]


async def test_each_partition_goes_on_by_its_own_answers_and_the_run_when_all_are_read(unit):
    await apply_facts.take(unit, [split(*PIECES)])
    await apply_facts.take(unit, [read(2, 0, cursor=90, end=True), read(0, 0, cursor=20)])
    assert asked(unit)[3:] == [(0, 1, 20)]
    await apply_facts.take(unit, [read(0, 1, cursor=40, end=True)])
    assert not await slices.exhausted(unit, RUN)
    await apply_facts.take(unit, [read(1, 0, cursor=70, end=True)])
    assert await slices.exhausted(unit, RUN)
    assert (await progress(unit, await the_run(unit))).total == 20


async def test_where_there_is_no_room_for_all_the_partition_that_had_least_is_next(unit):
    await unit.connection.execute(pipeline_runs.update().values(credit_window=2))
    await apply_facts.take(unit, [split(*PIECES)])
    assert asked(unit) == [(0, 0, None), (1, 0, 40)]
    await apply_facts.take(unit, [read(0, 0, cursor=10)])
    await apply_facts.take(unit, [done(0, 0)])
    assert asked(unit)[2:] == [(2, 0, 70)]
