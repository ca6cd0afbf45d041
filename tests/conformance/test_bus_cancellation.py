"""Tests that a task that is cancelled while it waits for the bus ends as cancelled, at whatever moment the cancellation
comes.

A client library that swallows it would leave a service, or a test, that never ends."""

from __future__ import annotations

import asyncio

import pytest

from loom_common.ports.bus import Wire
from loom_dev.waiting import patience, within

MOMENTS = 60
"""How many turns of the event loop a task is given, at most, before it is cancelled."""
TOGETHER = 3


async def depth(bus):
    await bus.depth("test.work")


async def publish(bus):
    await bus.publish([Wire("loom.work", "load.reviews", b"1", message_id="1")])


async def subscribe(bus):
    await (await bus.subscribe("test.work", prefetch=1)).close()


async def resize(bus):
    subscription = await bus.subscribe("test.work", prefetch=1)
    try:
        await subscription.set_prefetch(2)
    finally:
        await subscription.close()


@pytest.mark.parametrize("operation", [depth, publish, subscribe, resize])
async def test_a_cancelled_operation_of_the_bus_ends_as_cancelled(bus, operation):
    async def again_and_again():
        while True:
            await operation(bus)
            await asyncio.sleep(0)

    async with within(60):
        for moment in range(MOMENTS * TOGETHER):
            task = asyncio.create_task(again_and_again())
            for _ in range(moment // TOGETHER):
                await asyncio.sleep(0)
            if moment % TOGETHER:
                await asyncio.sleep(0.0004 * (moment % 17))
            task.cancel()
            await asyncio.wait({task}, timeout=patience(10))
            swallowed = not task.done()
            task.cancel()
            await asyncio.wait({task})
            assert not swallowed, f"the cancellation at moment {moment} was swallowed"
            assert task.cancelled(), f"at moment {moment}: {task}"
