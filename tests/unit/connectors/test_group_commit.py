"""Tests which batches share a transaction, and that each has its own result whatever becomes of the others."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from structlog.testing import capture_logs

from loom_common.errors import DestinationError
from loom_connectors.ports.destination import LoadBatch, LoadResult, Row
from loom_connectors.sql.loading.group_commit import MOST_ROWS, MOST_ROWS_OF_ONE, GroupCommit, next_group
from loom_dev.waiting import within


def batch(number, rows=1, run="run"):
    made = [Row(f"{number}-{at}", {}) for at in range(rows)]
    return LoadBatch(run, f"batch-{number}", 0, 0, number, made)


class Values(dict):
    """Lets tests see when nothing refers to it any more."""


class Database:
    """Notes which batches are written together. It refuses those in `bad`, and is slow until `free` is set."""

    def __init__(self, *bad):
        self.bad = {f"batch-{number}" for number in bad}
        self.free = asyncio.Event()
        self.transactions = []
        self.ended = []

    async def write(self, batches):
        names = [each.batch_id for each in batches]
        self.transactions.append(names)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.ended.append(names)
            raise
        if self.bad & set(names):
            raise DestinationError(f"refused: {', '.join(sorted(self.bad & set(names)))}")
        return [LoadResult(len(each.rows)) for each in batches]


async def begun(database, transactions=1):
    """Wait until so many transactions have begun."""
    async with within(10, f"transaction {transactions}"):
        while len(database.transactions) < transactions:
            await asyncio.sleep(0)


async def load_all(database, *batches, alone=0):
    """Load batches that come at the same time, while the first ones are written, so many each by itself."""
    group = GroupCommit(database.write)
    loads = []
    for number in range(alone):
        loads.append(asyncio.create_task(group.load(batches[number])))
        await begun(database, number + 1)
    loads += [asyncio.create_task(group.load(each)) for each in batches[alone:]]
    await asyncio.sleep(0)
    database.free.set()
    async with within(10, "what is written"):
        return await asyncio.gather(*loads, return_exceptions=True)


async def test_why_batches_are_loaded_one_by_one_is_told_as_a_warning_once():
    with capture_logs() as logged:
        database = Database(1)
        group = GroupCommit(database.write)
        database.free.set()
        for first in (0, 3):
            loads = [group.load(batch(number)) for number in (first, 1, first + 2)]
            await asyncio.gather(*loads, return_exceptions=True)
    assert [each["log_level"] for each in logged] == ["warning", "debug"]
    assert logged[0]["event"] == "batches could not be loaded together, and are loaded one by one"
    assert logged[0]["reason"] == "refused: batch-1"


async def test_what_a_driver_says_may_hold_values_and_is_not_written_down():
    class Driver(Database):
        async def write(self, batches):
            if len(batches) > 1:
                raise ValueError("duplicate key (ssn)=(078-05-1120)")
            return await super().write(batches)

    with capture_logs() as logged:
        await load_all(Driver(), *map(batch, range(3)))
    assert [each["reason"] for each in logged] == ["ValueError"]
    assert "078-05-1120" not in str(logged)


async def test_what_comes_while_a_transaction_runs_shares_the_next():
    database = Database()
    results = await load_all(database, batch(0), batch(1, rows=2), batch(2, rows=3), alone=1)
    assert results == [LoadResult(1), LoadResult(2), LoadResult(3)]
    assert database.transactions == [["batch-0"], ["batch-1", "batch-2"]]


async def test_what_comes_within_some_turns_of_the_event_loop_is_written_together():
    database = Database()
    database.free.set()
    group = GroupCommit(database.write)

    async def load_after(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await group.load(batch(turns))

    async with within(10, "what is written"):
        results = await asyncio.gather(*map(load_after, range(4)))
        last = await group.load(batch(4))
    assert [*results, last] == [LoadResult(1)] * 5
    assert database.transactions == [[f"batch-{number}" for number in range(4)], ["batch-4"]]


async def test_rows_that_are_enough_for_a_transaction_wait_for_no_others():
    database = Database()
    group = GroupCommit(database.write)
    loads = [asyncio.create_task(group.load(batch(number, rows=MOST_ROWS // 2))) for number in range(2)]
    for _ in range(4):
        await asyncio.sleep(0)
    assert database.transactions == [["batch-0", "batch-1"]]
    database.free.set()
    async with within(10, "what is written"):
        await asyncio.gather(*loads)


async def test_a_batch_that_waits_for_others_is_not_written_after_the_end():
    database = Database()
    group = GroupCommit(database.write)
    loading = asyncio.create_task(group.load(batch(0)))
    await asyncio.sleep(0)
    await group.close()
    async with within(10, "what is written"):
        (ended,) = await asyncio.gather(loading, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    assert database.transactions == []


async def test_many_rows_do_not_wait_for_the_transaction_before():
    database = Database()
    group = GroupCommit(database.write)
    first, *others = [batch(number, rows=MOST_ROWS // 2) for number in range(3)]
    loads = [asyncio.create_task(group.load(first))]
    await begun(database)
    loads += [asyncio.create_task(group.load(each)) for each in others]
    await begun(database, 2)
    assert database.transactions == [["batch-0"], ["batch-1", "batch-2"]]
    database.free.set()
    await asyncio.gather(*loads)


async def test_where_one_transaction_can_write_all_that_comes_meanwhile_is_written_after_it_together():
    database = Database()
    group = GroupCommit(database.write, one_writes=True)
    loads = [asyncio.create_task(group.load(batch(number, rows=MOST_ROWS_OF_ONE // 4))) for number in range(6)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert database.transactions == [["batch-0"]]
    database.free.set()
    await asyncio.gather(*loads)
    assert database.transactions == [["batch-0"], ["batch-1", "batch-2", "batch-3", "batch-4"], ["batch-5"]]


async def loaded_in_turns(group, batches, at_once):
    """Load batches, so many at once: the next one comes some turns of the event loop after one is loaded."""
    left = iter(batches)

    async def take():
        for each in left:
            await group.load(each)
            for _ in range(5):
                await asyncio.sleep(0)

    async with within(10, "what is written"):
        await asyncio.gather(*(take() for _ in range(at_once)))


async def test_where_one_transaction_can_write_the_next_has_all_batches_that_come_in_place_of_those_written():
    database = Database()
    database.free.set()
    group = GroupCommit(database.write, one_writes=True)
    await loaded_in_turns(group, map(batch, range(27)), at_once=4)
    assert [len(each) for each in database.transactions] == [1, 3, 3, *(4 for _ in range(5))]


async def test_a_batch_does_not_wait_for_others_that_do_not_come():
    database = Database()
    database.free.set()
    group = GroupCommit(database.write, one_writes=True)
    async with within(10, "batches after which no others come"):
        await loaded_in_turns(group, map(batch, range(5)), at_once=4)
        await group.load(batch(5))
    assert [len(each) for each in database.transactions] == [1, 3, 1, 1]
    await group.close()


async def test_a_batch_at_fault_fails_alone():
    database = Database(2)
    first, second, third, fourth = await load_all(database, *(batch(number) for number in range(4)))
    assert [first, second, fourth] == [LoadResult(1)] * 3
    assert str(third) == "refused: batch-2"


async def test_the_same_batch_is_never_twice_in_a_transaction():
    database = Database()
    await load_all(database, batch(0), batch(1), batch(1), batch(1))
    assert database.transactions == [["batch-0", "batch-1"], ["batch-1"], ["batch-1"]]


async def test_a_transaction_that_nobody_waits_for_is_ended():
    database = Database()
    group = GroupCommit(database.write)
    loads = [asyncio.create_task(group.load(batch(0)))]
    await begun(database)
    loads.append(asyncio.create_task(group.load(batch(1))))
    await asyncio.sleep(0)
    for load in loads:
        load.cancel()
    await asyncio.gather(*loads, return_exceptions=True)
    await group.close()
    assert database.transactions == database.ended == [["batch-0"]]


@pytest.mark.parametrize(
    ("batches", "places"),
    [
        ([batch(0), batch(1)], [0, 1]),
        ([batch(0), batch(1, run="other"), batch(2)], [0, 2]),
        ([batch(0), batch(0), batch(1)], [0, 2]),
        ([batch(0, rows=2 * MOST_ROWS), batch(1)], [0]),
        ([batch(0, rows=MOST_ROWS - 1), batch(1), batch(2)], [0, 1]),
    ],
)
def test_a_group_is_of_one_run_and_bounded(batches, places):
    assert next_group(batches, MOST_ROWS) == places


async def test_rows_are_let_go_of_when_they_are_written():
    """See that no cycle of references keeps rows until the next search for garbage, which is a rare one."""
    gc.collect()
    gc.disable()
    try:
        loaded = LoadBatch("run", "batch", 0, 0, 0, [Row("a", Values()), Row("b", Values())])
        values = [weakref.ref(row.values) for row in loaded.rows]
        assert await load_all(Database(), loaded) == [LoadResult(2)]
        del loaded
        await asyncio.sleep(0)
        assert [each() for each in values] == [None, None]
    finally:
        gc.enable()
