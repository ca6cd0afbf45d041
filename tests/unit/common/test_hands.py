"""What a worker has in hand, and when it takes more than it was told to begin with."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from loom_common import flow, hands
from loom_common.adapters.memory_bus import MemoryBus
from loom_common.contracts.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunEpoch
from loom_common.epochs import EpochGuard
from loom_common.flow import Exchange, Queue, Topology
from loom_common.hands import MOST, Hand, handfuls
from loom_common.vitals import DutyVitals
from loom_common.worker import Duty, Worker

QUEUE = "loom.load"
SIZE = 8


@pytest.mark.parametrize(
    ("now", "in_hand", "left", "tight", "wanted"),
    [
        (1, 8, 8.0, False, 1),  # as it usually is: each has most of its work before it
        (1, 8, 4.0, False, 2),  # half is done, and the rest holds every hand
        (1, 7, 1.0, False, 1),  # the queue gives no more
        (1, 8, 4.0, True, 1),  # no memory for it
        (2, 16, 4.0, False, 3),
        (2, 16, 9.0, False, 2),
        (2, 15, 4.0, False, 2),
        (MOST, 8 * MOST, 0.5, False, MOST),
        (3, 24, 16.5, False, 2),  # more to do than there should be at once
        (3, 24, 16.5, True, 2),
        (3, 8, 8.0, False, 2),  # nothing comes
        (2, 4, 0.1, False, 1),
        (1, 0, 0.0, False, 1),
    ],
)
def test_there_are_as_many_handfuls_as_keep_the_worker_busy(now, in_hand, left, tight, wanted):
    assert handfuls(now, SIZE, in_hand, left, tight=tight) == wanted


def test_what_is_left_of_a_message_is_told_as_it_becomes_less():
    less = []
    hand = Hand(less.append)
    hand.begin(4)
    for _ in range(3):
        hand.one_done()
    assert (hand.left, sum(less)) == (0.25, 0.75)
    hand.begin(2)  # some of it again
    assert (hand.left, sum(less)) == (1.0, 0.0)
    for _ in range(5):
        hand.one_done()
    assert (hand.left, sum(less)) == (0.0, 1.0)


def test_one_record_that_takes_long_makes_no_batch_slow(monkeypatch):
    now = 100.0
    monkeypatch.setattr(hands, "monotonic", lambda: now)
    vitals, hand = DutyVitals(QUEUE), Hand()
    hands.current.set(hand)
    with vitals.timed():
        hands.begin(10)
        now += 1
        for _ in range(9):
            hands.one_done()
        now += 20
    assert vitals.worked == pytest.approx(0.9 * 1 + 0.1 * 21)
    hands.current.set(None)
    with vitals.timed():  # nobody said how far it was
        hands.one_done()
    assert vitals.worked == pytest.approx(3.0)


class Held:
    """A handler whose messages are of ten parts: nine are done at once, the last when it is let go."""

    def __init__(self, parts: int = 10) -> None:
        self.parts = parts
        self.held: list[asyncio.Event] = []

    async def __call__(self, _):
        hands.begin(self.parts)
        for _ in range(self.parts - 1):
            hands.one_done()
        self.held.append(asyncio.Event())
        await self.held[-1].wait()
        return ()


@asynccontextmanager
async def at_work(handler, messages: int):
    bus, stop = MemoryBus(), asyncio.Event()
    await bus.declare(Topology(queues=(Queue(QUEUE, (flow.Binding(Exchange.WORK, "#"),)),)))
    route = flow.Route(Exchange.WORK, "x")
    epoch = RunEpoch(run_id="run_1", epoch=1)
    await bus.publish([encode(Outgoing(route, epoch), "test") for _ in range(messages)])
    worker = Worker("loader", Duty(QUEUE, (RunEpoch,), handler, 4), bus, EpochGuard(), drain_seconds=0)
    running = asyncio.create_task(worker.run(stop))
    yield bus
    stop.set()
    async with asyncio.timeout(5):
        await running
    await bus.close()


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not await condition():
            await asyncio.sleep(0)


async def test_messages_that_only_wait_hold_up_no_others():
    handler = Held()
    async with at_work(handler, 14) as bus:

        async def all_taken() -> bool:
            return len(handler.held) == 14

        async def as_before() -> bool:
            return not sum(each.prefetch for each in bus.standing().consumers if each.active) > 4

        await until(all_taken)
        assert bus.standing().prefetch(QUEUE) > 4
        for event in handler.held:
            event.set()
        await until(as_before)
        assert (bus.standing().prefetch(QUEUE), await bus.depth(QUEUE)) == (4, 0)


async def test_messages_with_all_their_work_before_them_are_as_many_as_it_was_told():
    handler = Held(parts=1)
    async with at_work(handler, 14) as bus:

        async def in_hand() -> bool:
            return len(handler.held) == 4

        await until(in_hand)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (len(handler.held), bus.standing().prefetch(QUEUE)) == (4, 4)
        for event in handler.held:
            event.set()
