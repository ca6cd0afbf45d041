from __future__ import annotations

import asyncio

import pytest

from loom_ai.coalescing import Coalescer
from support.scripted_model import settle


class Work:
    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, items):
        self.groups.append(list(items))
        await self.may_go_on.wait()
        if self.error:
            raise self.error
        return [item * 10 for item in items]


async def test_each_caller_gets_its_own_result():
    work = Work()
    work.may_go_on.set()
    grouped = Coalescer(work)
    assert await asyncio.gather(*(grouped(item) for item in range(5))) == [0, 10, 20, 30, 40]


async def test_while_one_group_is_under_way_the_next_one_gathers():
    work = Work()
    grouped = Coalescer(work)
    first = asyncio.create_task(grouped(1))
    await settle(lambda: bool(work.groups))
    others = [asyncio.create_task(grouped(item)) for item in (2, 3, 4)]
    await asyncio.sleep(0)
    work.may_go_on.set()
    assert await asyncio.gather(first, *others) == [10, 20, 30, 40]
    assert work.groups == [[1], [2, 3, 4]]


async def test_a_group_is_never_larger_than_its_limit():
    work = Work()
    work.may_go_on.set()
    grouped = Coalescer(work, limit=2)
    await asyncio.gather(*(grouped(item) for item in range(5)))
    assert max(map(len, work.groups)) == 2
    assert sum(map(len, work.groups)) == 5


async def test_a_groups_error_reaches_each_of_its_callers_and_no_other():
    work = Work()
    work.may_go_on.set()
    work.error = OSError("away")
    grouped = Coalescer(work)
    assert [type(one) for one in await asyncio.gather(grouped(1), grouped(2), return_exceptions=True)] == [OSError] * 2
    work.error = None
    assert await grouped(3) == 30


async def test_a_caller_that_is_cancelled_takes_nothing_from_its_group():
    work = Work()
    grouped = Coalescer(work)
    one, other = asyncio.create_task(grouped(1)), asyncio.create_task(grouped(2))
    await settle(lambda: bool(work.groups))
    one.cancel()
    work.may_go_on.set()
    assert await other == 20
    with pytest.raises(asyncio.CancelledError):
        await one
    assert work.groups == [[1, 2]]


async def test_closing_waits_for_what_is_under_way():
    work = Work()
    grouped = Coalescer(work)
    caller = asyncio.create_task(grouped(1))
    await settle(lambda: bool(work.groups))
    closing = asyncio.create_task(grouped.close())
    await asyncio.sleep(0)
    assert not closing.done()
    work.may_go_on.set()
    await closing
    assert caller.done() or await caller == 10
