"""A worker has as many subscriptions as keep it busy, each of the size it was told, on any bus."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import PrefetchLimit, RunEpoch
from loom_common.flow import Exchange
from loom_common.resilience import process_memory
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.consuming.subscriptions import HIGH
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker
from loom_dev.waiting import within

QUEUE = "test.work"
PREFETCH = 4
MESSAGES = 14


class Held:
    """Handles messages of some parts: all but the last are done at once, that one when it is let go."""

    def __init__(self, parts: int, at_once: int | None = None, *, undone: int = 1) -> None:
        self.parts = parts
        self.at_once = at_once
        self.undone = undone
        self.held: list[asyncio.Event] = []
        self.free = False

    async def __call__(self, _, context):
        context.progress.begin(self.parts, answers=self.parts, at_once=self.at_once)
        for _ in range(self.parts - self.undone):
            context.progress.one_answered()
        self.held.append(asyncio.Event())
        if not self.free:
            await self.held[-1].wait()
        return ()

    def let_go(self) -> None:
        self.free = True
        for event in self.held:
            event.set()


async def publish(bus, count: int = MESSAGES) -> None:
    route, epoch = flow.Route(Exchange.WORK, "load.x"), RunEpoch(run_id="run_1", epoch=1)
    await bus.publish([encode(Outgoing(route, epoch), "test") for _ in range(count)])


def limit(prefetch: int) -> PrefetchLimit:
    return PrefetchLimit(service="loader", queue=QUEUE, prefetch=prefetch)


def worker_of(bus, handler: Held) -> Worker:
    spec = ConsumerSpec(QUEUE, (Accepts(RunEpoch, handler, router.nothing),), PREFETCH)
    return Worker("loader", spec, bus, EpochGuard(), drain_seconds=5)


@asynccontextmanager
async def at_work(bus, handler: Held):
    stop = asyncio.Event()
    await publish(bus)
    worker = worker_of(bus, handler)
    running = asyncio.create_task(worker.run(stop))
    yield worker
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

    async def limit_reached() -> bool:
        return len(handler.held) == PREFETCH

    async def the_rest_waits() -> bool:
        return await bus.depth(QUEUE) == MESSAGES - PREFETCH

    async def all_taken() -> bool:
        return len(handler.held) == MESSAGES

    async with at_work(bus, handler):
        await buses.eventually(limit_reached)
        await buses.eventually(the_rest_waits)
        assert bus.standing().prefetch(QUEUE) == PREFETCH
        handler.let_go()
        await buses.eventually(all_taken)


async def test_a_handler_that_may_work_on_more_records_than_are_in_flight_gets_more_messages(bus, buses):
    handler = Held(parts=5, at_once=40, undone=5)

    async def enough_taken() -> bool:
        return len(handler.held) == 12  # of 5 records: half as many again as may be worked on at once

    async with at_work(bus, handler):
        await buses.eventually(enough_taken)
        assert (bus.standing().prefetch(QUEUE), await bus.depth(QUEUE)) == (3 * PREFETCH, MESSAGES - 12)
        handler.let_go()


async def test_a_limit_that_was_lowered_is_not_made_up_for_by_more_subscriptions(bus, buses):
    handler = Held(parts=5, at_once=40, undone=5)

    async def taken() -> bool:
        return len(handler.held) == 2 and await bus.depth(QUEUE) == MESSAGES - 2

    stop = asyncio.Event()
    await publish(bus)
    worker = worker_of(bus, handler)
    await worker.heed(limit(2))
    running = asyncio.create_task(worker.run(stop))
    await buses.eventually(taken)
    assert bus.standing().prefetch(QUEUE) == 2
    handler.let_go()
    stop.set()
    await running


async def test_a_new_limit_reaches_every_subscription(bus, buses):
    handler = Held(parts=10)

    async def all_taken() -> bool:
        return len(handler.held) == MESSAGES

    async def one_of_two_left() -> bool:
        return bus.standing().prefetch(QUEUE) == 2

    async with at_work(bus, handler) as worker:
        await buses.eventually(all_taken)
        before = [each.prefetch for each in bus.standing().consumers if each.active]
        await worker.heed(limit(2))
        after = [each.prefetch for each in bus.standing().consumers if each.active]
        assert before == [PREFETCH] * len(before)
        assert after == [2] * len(after)
        assert len(after) > 1
        handler.let_go()
        await buses.eventually(one_of_two_left)


async def test_near_the_memory_limit_the_prefetch_limit_bounds_all_messages_together(bus, buses, monkeypatch):
    held_bytes = 0
    monkeypatch.setattr(process_memory, "limit", lambda: 1000)
    monkeypatch.setattr(process_memory, "held", lambda: held_bytes)
    handler = Held(parts=10)

    async def all_taken() -> bool:
        return len(handler.held) == MESSAGES

    async def one_left() -> bool:
        return bus.standing().prefetch(QUEUE) == PREFETCH

    async def everything_ended() -> bool:
        return len(handler.held) == 2 * MESSAGES

    async with at_work(bus, handler):
        await buses.eventually(all_taken)
        assert bus.standing().prefetch(QUEUE) > PREFETCH
        held_bytes = int(HIGH * 1000)
        await buses.eventually(one_left)
        await publish(bus)
        assert len(handler.held) <= MESSAGES + PREFETCH  # the one that is left may have none of its own in flight
        handler.let_go()
        await buses.eventually(everything_ended)


@pytest.mark.parametrize("buses", ["rabbitmq"], indirect=True)
async def test_the_broker_knows_every_subscription_by_its_new_limit(bus, buses, rabbitmq, amqp_url):
    handler = Held(parts=10)

    async def all_taken() -> bool:
        return len(handler.held) == MESSAGES

    async with at_work(bus, handler) as worker:
        await buses.eventually(all_taken)
        await worker.heed(limit(2))
        listed = await asyncio.to_thread(
            rabbitmq.ctl, "list_consumers", "--vhost", amqp_url.rsplit("/", 1)[1], "queue_name", "prefetch_count"
        )
        counts = [line.split()[1] for line in listed.splitlines() if line.startswith(QUEUE)]
        assert len(counts) > 1
        assert set(counts) == {"2"}
        handler.let_go()
