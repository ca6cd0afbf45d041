from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace

import pytest

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.flow import Queue, Stage, Topology
from loom_common.ports.bus import Delivery, Wire
from loom_coordinator.intake.fact_consumer import may_end_a_batch
from loom_coordinator.intake.micro_batches import GROUP, Pace, groups
from loom_dev.waiting import within

QUEUE = "facts"
LONG = 60.0
"""The number of seconds: a test that waits so long fails by its timeout."""


class Facts:
    """Represents a queue whose messages come in groups."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.stop = asyncio.Event()
        self.acknowledged = 0

    async def say(self, *types: str) -> None:
        await self.bus.publish([Wire("", QUEUE, b"{}", type=each) for each in types])

    async def grouped(
        self, pace: float, enough: int = GROUP, counts: Callable[[Delivery], bool] = lambda _: True
    ) -> AsyncIterator[list[str]]:
        subscription = await self.bus.subscribe(QUEUE, prefetch=GROUP)
        async for group in groups(subscription, self.stop, Pace(pace, {"urgent"}, enough, counts)):
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


async def test_as_many_facts_as_are_enough_wait_for_nobody(facts):
    coming = facts.grouped(pace=LONG, enough=3)
    await facts.say("plain")
    await soon(coming)
    await facts.say(*["plain"] * 3)

    assert len(await soon(coming)) == 3


async def test_only_facts_that_count_are_enough(facts):
    coming = facts.grouped(pace=LONG, enough=2, counts=lambda delivery: delivery.type == "end")
    await facts.say("plain")
    await soon(coming)
    await facts.say("plain", "plain", "end", "plain", "end")

    assert await soon(coming) == ["plain", "plain", "end", "plain", "end"]


@pytest.mark.parametrize(
    ("route", "ends"),
    [
        (flow.fact("batch", Stage.LOAD.done, "p"), True),
        (flow.fact("records", "kept", "p"), True),
        (flow.fact("batch", Stage.TRANSFORM.done, "p"), False),
        (flow.fact("batch", Stage.EVALUATE.done, "p"), False),
    ],
)
def test_a_batch_may_end_with_its_load_or_with_what_the_quarantine_keeps(route, ends):
    assert may_end_a_batch(SimpleNamespace(routing_key=route.key)) is ends


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
