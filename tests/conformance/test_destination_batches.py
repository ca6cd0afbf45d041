"""Tests what every destination must do with a batch: take it once, whoever loads it how often and beside what else."""

from __future__ import annotations

import asyncio

from loom_connectors.ports import LoadResult
from support.destinations import EVERY, batch, places, row


@places(*EVERY)
async def test_a_batch_loaded_twice_is_there_once(at):
    first = await at.load(batch(0, row(1), row(2)))
    again = await at.load(batch(0, row(1), row(2)))
    await at.finalize()
    assert first == again == [LoadResult(2)]
    assert await at.rows() == [row(1), row(2)]


@places(*EVERY)
async def test_a_batch_loaded_by_many_at_once_is_there_once(at):
    results = await asyncio.gather(*(at.load(batch(0, row(1), row(2))) for _ in range(4)))
    await at.finalize()
    assert results == [[LoadResult(2)]] * 4
    assert await at.rows() == [row(1), row(2)]


@places(*EVERY)
async def test_many_batches_at_once_are_all_there(at):
    async with at.opened() as one, at.opened() as other:
        await asyncio.gather(*((one, other)[n % 2].load(batch(n, row(n))) for n in range(12)))
    await at.finalize()
    assert await at.rows() == [row(n) for n in range(12)]


@places(*EVERY)
async def test_a_batch_that_comes_late_again_changes_nothing(at):
    await at.load(batch(0, row(1)))
    await at.finalize()
    assert await at.load(batch(0, row(1))) == [LoadResult(1)]
    await at.finalize()
    assert await at.rows() == [row(1)]


@places(*EVERY)
async def test_rows_stand_in_the_order_of_the_source(at):
    await at.load(*(batch(position, row(position)) for position in (10, 2, 0, 11, 1)))
    await at.finalize()
    assert [each["id"] for each in await at.rows()] == [0, 1, 2, 10, 11]


@places(*EVERY)
async def test_a_batch_without_rows_is_loaded(at):
    assert await at.load(batch(0)) == [LoadResult(0)]
    await at.finalize()
    assert await at.rows() == []
