"""What a service does again and again ends when the service is asked to stop."""

from __future__ import annotations

import asyncio

from loom_common.service.periodic import every, wait_for_stop
from loom_dev.waiting import within


async def test_the_body_is_run_until_stop_is_set():
    stop, rounds = asyncio.Event(), 0
    async for _ in every(0.0, stop):
        rounds += 1
        if rounds == 3:
            stop.set()
    assert rounds == 3


async def test_nothing_is_run_where_stop_is_set_already():
    stop = asyncio.Event()
    stop.set()
    assert [None async for _ in every(0.0, stop)] == []


async def test_a_long_wait_ends_as_soon_as_stop_is_set():
    stop = asyncio.Event()
    waiting = asyncio.create_task(wait_for_stop(stop, 3600.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.set()
    async with within(5):
        await waiting
