"""Tests slices of a run: asked for one by one under credit, answered once, asked for again after a loss."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import ExtractSlice, SlicedBatch, SliceExtracted
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_coordinator.lifecycle import partitions, slices
from support.run_rows import apply, run_state, sent, the_run

RUN = "run_1"


@pytest.fixture
async def unit():
    """Provide a run whose slices have two batches, and of which four may be in flight."""
    async with run_state() as unit:
        yield unit


def answer(number: int, of: int = 2, *, end: bool = False) -> SliceExtracted:
    """Slice `number` was read: `of` batches of five records."""
    made = tuple(
        SlicedBatch(batch_id=batch_id(RUN, 0, number, at), position=at, tally=Tally(extracted=5)) for at in range(of)
    )
    return SliceExtracted(
        run_id=RUN, pipeline="p", epoch=1, partition=0, slice=number, batches=made, cursor={"at": number + 1}, end=end
    )


async def take(unit, fact: SliceExtracted) -> None:
    await apply(unit, fact)
    await slices.answered(unit, fact)


async def test_the_first_slice_begins_at_the_beginning(unit):
    await partitions.begin(unit, RUN, None)
    assert not (await slices.release(unit, await the_run(unit))).ended
    [asked] = sent(unit, ExtractSlice)
    assert asked.slice == 0
    assert asked.cursor is None
    assert asked.limit is None
    assert asked.epoch == 1


async def test_the_next_slice_begins_where_the_answer_says(unit):
    await partitions.begin(unit, RUN, 12)
    await slices.release(unit, await the_run(unit))
    await take(unit, answer(0))
    await slices.release(unit, await the_run(unit))
    asked = sent(unit, ExtractSlice)[-1]
    assert (asked.slice, asked.cursor, asked.limit) == (1, {"at": 1}, 2)


@pytest.mark.parametrize(("answered", "slices_asked"), [(0, 1), (1, 2), (2, 2)])
async def test_credit_ends_when_four_batches_are_in_flight(unit, answered, slices_asked):
    await partitions.begin(unit, RUN, None)
    await slices.release(unit, await the_run(unit))
    for number in range(answered):
        await take(unit, answer(number))
        await slices.release(unit, await the_run(unit))
    assert len(sent(unit, ExtractSlice)) == slices_asked


async def test_an_answer_that_comes_twice_moves_the_cursor_once(unit):
    await partitions.begin(unit, RUN, 30)
    await slices.release(unit, await the_run(unit))
    await take(unit, answer(0))
    await slices.answered(unit, answer(0))
    await slices.release(unit, await the_run(unit))
    assert sent(unit, ExtractSlice)[-1].limit == 20


@pytest.mark.parametrize(("limit", "end", "over"), [(None, True, True), (10, False, True), (None, False, False)])
async def test_a_run_is_exhausted_by_the_end_of_its_source_or_its_own_limit(unit, limit, end, over):
    await partitions.begin(unit, RUN, limit)
    await slices.release(unit, await the_run(unit))
    assert not await slices.exhausted(unit, RUN)
    await take(unit, answer(0, end=end))
    assert await slices.exhausted(unit, RUN) is over


async def test_what_was_not_answered_is_asked_for_again_as_it_was(unit):
    await partitions.begin(unit, RUN, None)
    await slices.release(unit, await the_run(unit))
    assert await slices.reissue(unit, await the_run(unit)) == 1
    first, again = sent(unit, ExtractSlice)
    assert again == first


async def test_of_an_answered_slice_only_the_batches_in_flight_are_asked_for_again(unit):
    await partitions.begin(unit, RUN, None)
    await slices.release(unit, await the_run(unit))
    await take(unit, answer(0))
    await slices.reissue(unit, await the_run(unit))
    assert sent(unit, ExtractSlice)[-1].positions == (0, 1)


async def test_a_run_without_a_budget_asks_without_one(unit):
    assert await slices.budget_of(unit, await the_run(unit)) is None


async def test_a_run_with_a_budget_says_what_is_spent():
    async with run_state(budget=2.5) as unit:
        budget = await slices.budget_of(unit, await the_run(unit))
    assert budget is not None
    assert (budget.limit, budget.spent) == (2.5, 0.0)
