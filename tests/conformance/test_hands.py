"""A worker takes more messages where those in hand only wait, from any bus."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunEpoch
from loom_common.flow import Exchange
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker
from loom_dev.waiting import within

QUEUE = "test.work"
PREFETCH = 4
MESSAGES = 14


class Held:
    """A handler whose messages are of some parts: all but the last are done at once, that one when it is let go."""

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self.held: list[asyncio.Event] = []
        self.free = False

    async def __call__(self, _, context):
        context.progress.begin(self.parts, answers=self.parts)
        for _ in range(self.parts - 1):
            context.progress.one_answered()
        self.held.append(asyncio.Event())
        if not self.free:
            await self.held[-1].wait()
        return ()

    def let_go(self) -> None:
        self.free = True
        for event in self.held:
            event.set()


@asynccontextmanager
async def at_work(bus, handler: Held):
    route, stop = flow.Route(Exchange.WORK, "load.x"), asyncio.Event()
    epoch = RunEpoch(run_id="run_1", epoch=1)
    await bus.publish([encode(Outgoing(route, epoch), "test") for _ in range(MESSAGES)])
    worker = Worker(
        "loader",
        ConsumerSpec(QUEUE, (Accepts(RunEpoch, handler, router.nothing),), PREFETCH),
        bus,
        EpochGuard(),
        drain_seconds=5,
    )
    running = asyncio.create_task(worker.run(stop))
    yield
    stop.set()
    async with within(20):
        await running


async def test_messages_that_only_wait_hold_up_no_others(bus, buses):
    handler = Held(parts=10)

    async def all_taken() -> bool:
        return len(handler.held) == MESSAGES

    async def as_before() -> bool:
        return bus.standing().prefetch(QUEUE) == PREFETCH

    async with at_work(bus, handler):
        await buses.eventually(all_taken)
        assert not await as_before()
        handler.let_go()
        await buses.eventually(as_before)
    assert (len(handler.held), await bus.depth(QUEUE)) == (MESSAGES, 0)


async def test_messages_with_all_their_work_before_them_are_no_more_than_it_was_told(bus, buses):
    handler = Held(parts=1)

    async def hands_full() -> bool:
        return len(handler.held) == PREFETCH

    async def the_rest_waits() -> bool:
        return await bus.depth(QUEUE) == MESSAGES - PREFETCH

    async def all_taken() -> bool:
        return len(handler.held) == MESSAGES

    async with at_work(bus, handler):
        await buses.eventually(hands_full)
        await buses.eventually(the_rest_waits)
        assert bus.standing().prefetch(QUEUE) == PREFETCH
        handler.let_go()
        await buses.eventually(all_taken)
