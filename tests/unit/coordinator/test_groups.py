from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.flow import Queue, Topology
from loom_common.ports.bus import Delivery, Wire
from loom_coordinator.intake.micro_batches import GROUP, Pace, groups
from loom_dev.waiting import within

QUEUE = "facts"
LONG = 60.0
"""The number of seconds: a test that waits so long fails by its timeout."""


class Urgent:
    """Finds a fact urgent by its type, and so many of them as are `enough`."""

    def __init__(self) -> None:
        self.enough = 2 * GROUP
        self.waiting: list[str | None] = []

    def arrived(self, delivery: Delivery) -> bool:
        self.waiting.append(delivery.type)
        return self.hurries

    def begin_anew(self, waiting: Iterable[Delivery]) -> None:
        self.waiting = [delivery.type for delivery in waiting]

    @property
    def hurries(self) -> bool:
        return "urgent" in self.waiting or len(self.waiting) >= self.enough


class Facts:
    """Represents a queue whose messages come in groups."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.stop = asyncio.Event()
        self.acknowledged = 0

    async def say(self, *types: str) -> None:
        await self.bus.publish([Wire("", QUEUE, b"{}", type=each) for each in types])

    async def grouped(self, pace: float, urgent: Urgent | None = None) -> AsyncIterator[list[str]]:
        subscription = await self.bus.subscribe(QUEUE, prefetch=2 * GROUP)
        async for group in groups(subscription, self.stop, Pace(pace, urgent or Urgent())):
            for delivery in group:
                await delivery.ack()
            yield [delivery.type or "" for delivery in group]


@pytest.fixture
async def facts() -> AsyncIterator[Facts]:
    bus = MemoryBus()
    await bus.declare(Topology((Queue(QUEUE),)))
    yield Facts(bus)
    await bus.close()


async def soon(coming: AsyncIterator[list[str]]) -> Sequence[str]:
    async with within(5):
        return await anext(coming)


async def test_the_first_fact_after_a_silence_waits_for_nobody(facts):
    await facts.say("plain")

    assert await soon(facts.grouped(pace=LONG)) == ["plain"]


async def test_facts_that_follow_a_group_closely_come_together(facts):
    coming = facts.grouped(pace=0.3)
    await facts.say("plain")
    await soon(coming)
    began = time.monotonic()
    following = asyncio.create_task(soon(coming))
    for _ in range(3):
        await facts.say("plain")
        await asyncio.sleep(0)

    assert await following == ["plain"] * 3
    assert time.monotonic() - began >= 0.29


async def test_an_urgent_fact_waits_for_nobody_and_takes_the_others_along(facts):
    coming = facts.grouped(pace=LONG)
    await facts.say("plain")
    await soon(coming)
    await facts.say("plain", "urgent")

    assert await soon(coming) == ["plain", "urgent"]


async def test_a_full_group_waits_for_nobody(facts):
    coming = facts.grouped(pace=LONG)
    await facts.say("plain")
    await soon(coming)
    await facts.say(*["plain"] * GROUP)

    assert len(await soon(coming)) == GROUP


async def test_what_has_become_urgent_by_the_group_before_waits_for_nobody(facts):
    urgent = Urgent()
    coming = facts.grouped(pace=LONG, urgent=urgent)
    await facts.say("plain")
    await soon(coming)
    urgent.enough = 2
    await facts.say("plain", "plain")

    assert await soon(coming) == ["plain", "plain"]


async def test_what_is_left_of_a_group_that_was_too_large_is_looked_at_again(facts):
    coming = facts.grouped(pace=LONG)
    await facts.say("plain")
    await soon(coming)
    await facts.say(*["plain"] * GROUP, "urgent", "plain")
    assert len(await soon(coming)) == GROUP

    assert await soon(coming) == ["urgent", "plain"]


async def test_a_group_that_waits_is_given_when_told_to_stop(facts):
    coming = facts.grouped(pace=LONG)
    await facts.say("plain")
    await soon(coming)
    following = asyncio.create_task(soon(coming))
    await facts.say("plain")
    for _ in range(20):  # until it is the pace that the group waits for
        await asyncio.sleep(0)
    facts.stop.set()

    assert await following == ["plain"]
    with pytest.raises(StopAsyncIteration):
        await soon(coming)


async def test_what_was_taken_when_it_is_told_to_stop_still_comes(facts):
    coming = facts.grouped(pace=LONG)
    await facts.say("first")
    await soon(coming)
    await facts.say("second", "third")
    resting = asyncio.ensure_future(soon(coming))
    await asyncio.sleep(0)
    facts.stop.set()

    rest = [*await resting, *[each for group in [group async for group in coming] for each in group]]

    assert rest == ["second", "third"]
