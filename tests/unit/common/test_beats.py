"""A replica tells how it goes, as often as it should, whatever becomes of the broker."""

import asyncio
from contextlib import suppress

import pytest

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.v1 import WorkerBeat
from loom_common.domain.run.breaker import Policy
from loom_common.errors import DependencyUnavailable, LoomError, TransientError
from loom_common.flow import Binding, Exchange, Queue, Topology
from loom_common.ports.clock import SystemClock
from loom_common.resilience import process_memory
from loom_common.resilience.breakers import Breakers
from loom_common.service.heartbeats import BEAT_SECONDS, Heartbeats, beating
from loom_common.worker.consuming.stats import MessageOutcome, ProcessStats
from loom_dev.waiting import patience

QUEUE = "loom.load"


class QuickClock(SystemClock):
    """Sleeps as long as it takes others to go on, and writes down for how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0.001)


@pytest.fixture
async def bus():
    bus = MemoryBus()
    await bus.declare(Topology(queues=(Queue(QUEUE),)))
    yield bus
    await bus.close()


def heartbeats(bus, *, stats=None, breakers=None, stop=None, clock=None) -> Heartbeats:
    return Heartbeats(
        "loader",
        bus,
        stats or ProcessStats(),
        breakers or Breakers(),
        clock or QuickClock(),
        stop or asyncio.Event(),
        configured_prefetch=8,
    )


async def test_a_beat_tells_what_was_done(bus):
    stats = ProcessStats()
    consumer = stats.consumer(QUEUE)
    consumer.in_flight = {"one", "two"}
    for outcome, times in (
        (MessageOutcome.HANDLED, 5),
        (MessageOutcome.RETRIED, 2),
        (MessageOutcome.FAILED, 1),
        (MessageOutcome.STALE, 7),
    ):
        for _ in range(times):
            consumer.count(outcome)
    for _ in range(8):
        consumer.durations.add(0.5)
    consumer.worked = 4.0
    await bus.subscribe(QUEUE, prefetch=3)

    beat = heartbeats(bus, stats=stats).beat()

    [queue] = beat.queues
    assert (queue.queue, queue.prefetch, queue.in_hand) == (QUEUE, 3, 2)
    assert queue.handled == 5
    assert queue.retried == 2
    assert queue.failed == 1
    assert queue.attempts == 8
    assert queue.seconds_busy == pytest.approx(4.0)
    assert (beat.service, beat.configured_prefetch, beat.draining) == ("loader", 8, False)
    assert beat.rss_bytes == pytest.approx(process_memory.held(), rel=0.2)
    assert beat.memory_limit_bytes == process_memory.limit()


async def test_only_breakers_that_are_not_at_rest_are_told(bus):
    breakers = Breakers(Policy(failures=2))
    for upstream, failures in (("calm", 0), ("shaken", 1), ("gone", 2)):
        async with breakers.guarding(upstream):
            pass
        for _ in range(failures):
            with suppress(LoomError):
                async with breakers.guarding(upstream):
                    raise TransientError("no")
    told = heartbeats(bus, breakers=breakers).beat().breakers
    assert [(each.upstream, each.state) for each in told] == [("gone", "open"), ("shaken", "closed")]
    assert 0 < told[0].probe_in <= 60


async def test_who_was_asked_to_stop_says_so(bus):
    stop = asyncio.Event()
    beating_one = heartbeats(bus, stop=stop)
    stop.set()
    assert beating_one.beat().draining


async def test_every_start_has_a_name_of_its_own(bus):
    assert heartbeats(bus).beat().replica != heartbeats(bus).beat().replica


async def test_beats_are_heard_by_whoever_binds_a_queue_to_them(bus):
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, "worker.beat.loader")])
    heard = await bus.subscribe(queue, prefetch=10)
    clock = QuickClock()
    async with beating(heartbeats(bus, clock=clock)):
        beats = [decode(await asyncio.wait_for(anext(heard), patience(5)), WorkerBeat) for _ in range(3)]
    assert len({beat.message_id for beat in beats}) == 3
    assert len({beat.replica for beat in beats}) == 1
    assert set(clock.slept) == {BEAT_SECONDS}


async def test_a_broker_that_is_away_does_not_stop_the_heart(bus, monkeypatch):
    tried = asyncio.Queue()

    async def away(_):
        tried.put_nowait(1)
        raise DependencyUnavailable("no broker")

    monkeypatch.setattr(bus, "publish", away)
    async with beating(heartbeats(bus)):
        for _ in range(3):
            await asyncio.wait_for(tried.get(), patience(5))
