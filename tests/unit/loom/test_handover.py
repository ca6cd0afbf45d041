"""Tests what holds settled records between a run and whoever takes them."""

import asyncio

from loom.streaming.handover import Handover
from loom.streaming.settled import Record


def record(number):
    return Record(str(number), "validated", {}, {})


async def test_whoever_gives_waits_until_there_is_room():
    handover = Handover(2)
    giving = asyncio.create_task(handover.give([record(1), record(2), record(3)]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not giving.done()
    assert (await handover.take()).id == "1"
    await giving
    await handover.end()
    assert [(await handover.take()).id, (await handover.take()).id, await handover.take()] == ["2", "3", None]


async def test_once_nobody_takes_records_nobody_waits():
    handover = Handover(1)
    giving = asyncio.create_task(handover.give([record(1), record(2)]))
    await asyncio.sleep(0)
    await handover.close()
    await giving
    assert await handover.take() is None
