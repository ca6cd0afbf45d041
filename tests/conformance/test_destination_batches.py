"""Tests what every destination must do with a batch: take it once, whoever loads it how often and beside what else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from loom_common.errors import UnreadableMessage
from loom_connectors.ports.deferred_rows import DeferredRows
from loom_connectors.ports.destination import LoadResult, Row
from support.destinations import EVERY, IN_TABLES, MSSQL, SNOWFLAKE, batch, places, row


@places(*EVERY, (SNOWFLAKE, "upsert"), (MSSQL, "upsert"))
async def test_a_batch_loaded_twice_is_there_once(at):
    first = await at.load(batch(0, row(1), row(2)))
    again = await at.load(batch(0, row(1), row(2)))
    await at.finalize()
    assert first == again == [LoadResult(2)]
    assert await at.rows() == [row(1), row(2)]


@places(*EVERY, (SNOWFLAKE, "append"), (MSSQL, "append"))
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


@places(*IN_TABLES)
async def test_batches_at_once_keep_their_own_columns_and_refused_rows(at):
    await at.make_table("CREATE TABLE scores (id integer PRIMARY KEY, text text DEFAULT 'none', CHECK (id < 1000))")
    batches = [batch(0, row(0)), batch(1, row(1), row(2000)), batch(2, {"id": 2}), batch(3, row(3))]
    async with at.opened() as destination:
        results = await asyncio.gather(*map(destination.load, batches))
    await at.finalize()
    assert [each.loaded for each in results] == [1, 1, 1, 1]
    assert [[failed.record_id for failed in each.failed] for each in results] == [[], ["r1.1"], [], []]
    assert await at.rows() == [row(0), row(1), {"id": 2, "text": "none"}, row(3)]
    assert await at.load(*batches) == results


@places(*IN_TABLES)
async def test_a_batch_whose_rows_cannot_be_read_fails_alone_and_can_be_loaded_later(at):
    def unreadable() -> list[Row]:
        raise UnreadableMessage("records: not what they should be")

    good, bad = [batch(position, row(position)) for position in (0, 2)], batch(1, row(1))
    async with at.opened() as destination:
        broken = replace(bad, rows=DeferredRows(1, unreadable))
        await destination.load(good[0])
        loading = [destination.load(each) for each in (batch(3, row(3)), broken, good[1])]
        first, failure, last = await asyncio.gather(*loading, return_exceptions=True)
        assert (first, last) == (LoadResult(1), LoadResult(1))
        with pytest.raises(UnreadableMessage):
            raise failure
        assert await destination.load(bad) == LoadResult(1)
    await at.finalize()
    assert await at.rows() == [row(0), row(1), row(2), row(3)]
