"""Tests a worker whose upstream is away: what it takes, what it holds, what it lets pass."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from loom_common import flow
from loom_common.adapters.memory.broker import MemoryBroker
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchExtracted, StageDelayed
from loom_common.errors import BreakerOpen, WorkerWornOut
from loom_common.flow import Stage
from loom_common.resilience import breaker_pause
from loom_common.resilience.breaker_pause import sits_out
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker
from loom_dev.waiting import patience, within
from support.plans import batch_of, plan_of

QUEUE = flow.work_queue(Stage.TRANSFORM)
PLAN = plan_of({"type": "passthrough"})


def away(*, opened_for: float, probe_in: float) -> BreakerOpen:
    return BreakerOpen("model m at http://m", probe_in=probe_in, opened_for=opened_for, opening=1)


@pytest.mark.parametrize(
    ("opened_for", "idle", "got_through", "looked", "sits"),
    [
        (5.0, True, 60.0, 5.0, True),
        (5.0, True, float("inf"), float("inf"), True),
        (0.5, True, 60.0, 5.0, False),  # the queue is looked through first
        (5.0, True, 60.0, 0.5, False),  # and now and then again
        (5.0, False, 60.0, 5.0, False),  # something else is being worked on
        (5.0, True, 3.0, 5.0, False),  # something got through while it was away
    ],
)
def test_it_sits_out_only_where_nothing_else_is_to_be_done(opened_for, idle, got_through, looked, sits):
    breaker = away(opened_for=opened_for, probe_in=30)
    assert sits_out(breaker, idle=idle, got_through=got_through, looked=looked) is sits


class Plant:
    """Runs a worker on a bus in this process. `handled` are the runs it handled, in order."""

    def __init__(self, bus: MemoryBus, **worker) -> None:
        self.bus = bus
        self.handled: list[str] = []
        self.tried: list[str] = []
        self.trouble: dict[str, list[Exception]] = {}
        self.stop = asyncio.Event()
        self._worker = Worker(
            "test",
            ConsumerSpec(QUEUE, (Accepts(BatchExtracted, self._handle, router.nothing),), prefetch=4),
            bus,
            EpochGuard(),
            **worker,
        )

    async def _handle(self, message, context):
        self.tried.append(message.header.run_id)
        if self.trouble.get(message.header.run_id):
            raise self.trouble[message.header.run_id].pop(0)
        self.handled.append(message.header.run_id)
        return []

    async def send(self, *runs: str) -> None:
        outgoing = [Outgoing(flow.work(Stage.TRANSFORM, "reviews"), batch_of(PLAN, [{"a": 1}], run)) for run in runs]
        await self.bus.publish([encode(each, "test") for each in outgoing])

    @asynccontextmanager
    async def working(self):
        running = asyncio.create_task(self._worker.run(self.stop))
        try:
            yield running
        finally:
            self.stop.set()
            await asyncio.wait({running})

    async def eventually(self, condition) -> None:
        async with within(10):
            while not condition():
                await asyncio.sleep(0.01)

    async def told(self) -> list[StageDelayed]:
        """Return what was said of waiting so far."""
        count, facts = await self.bus.depth(flow.FACTS_QUEUE), []
        subscription = await self.bus.subscribe(flow.FACTS_QUEUE, prefetch=100)
        async with within(5):
            deliveries = aiter(subscription)
            while len(facts) < max(count, 1):
                facts.append(decode(await anext(deliveries), StageDelayed))
        return facts


@pytest.fixture
async def bus():
    bus = MemoryBus(MemoryBroker())
    await bus.declare(flow.TOPOLOGY)
    yield bus
    await bus.close()


async def test_a_paused_worker_takes_nothing_and_goes_on_by_itself(bus):
    plant = Plant(bus)
    plant.trouble["a"] = [away(opened_for=5, probe_in=0.6)]
    await plant.send("a")
    async with plant.working():
        await plant.eventually(lambda: plant.tried == ["a"])
        began = time.monotonic()
        await plant.send("b", "c")
        await plant.eventually(lambda: sorted(plant.handled) == ["a", "b", "c"])
    assert time.monotonic() - began >= 0.5
    assert plant.tried[:1] == ["a"]
    assert sorted(plant.tried[1:]) == ["a", "b", "c"]


async def test_the_run_is_told_every_few_seconds_what_it_waits_for(bus, monkeypatch):
    monkeypatch.setattr(breaker_pause, "TELL_EVERY_SECONDS", 0.0)
    plant = Plant(bus)
    plant.trouble["a"] = [away(opened_for=5, probe_in=0.1), away(opened_for=6, probe_in=0.1)]
    await plant.send("a")
    async with plant.working():
        await plant.eventually(lambda: plant.handled == ["a"])
    facts = await plant.told()
    assert [fact.attempt for fact in facts] == [1, 2]
    assert len({fact.message_id for fact in facts}) == 2  # so that none is taken for the other, delivered again


async def test_it_is_not_told_the_same_twice_within_that_time(bus):
    plant = Plant(bus)
    plant.trouble["a"] = [away(opened_for=5, probe_in=0.1), away(opened_for=6, probe_in=0.1)]
    await plant.send("a")
    async with plant.working():
        await plant.eventually(lambda: plant.handled == ["a"])
    [fact] = await plant.told()
    assert (fact.run_id, fact.stage, fact.upstream) == ("a", Stage.TRANSFORM, "model m at http://m")


@pytest.mark.parametrize(("probe_in", "step"), [(60, 1), (0.05, 0)], ids=["far away", "under way, and slow"])
async def test_a_pausing_worker_looks_now_and_then_for_work_that_can_be_done(bus, monkeypatch, probe_in, step):
    monkeypatch.setattr(breaker_pause, "LOOK_EVERY_SECONDS", 0.2)
    plant = Plant(bus)
    plant.trouble["a"] = [away(opened_for=5, probe_in=probe_in) for _ in range(1000)]
    retry_queue = flow.retry_queue(QUEUE, step)
    await plant.send("a")
    async with plant.working():
        await plant.eventually(lambda: plant.tried)
        await plant.send("b")
        await plant.eventually(lambda: plant.handled == ["b"])
        async with within(3):
            while not await bus.depth(retry_queue):
                await asyncio.sleep(0.01)


async def test_while_others_get_through_it_waits_in_a_retry_queue_at_the_same_attempt(bus):
    plant = Plant(bus)
    plant.trouble["a"] = [away(opened_for=0.2, probe_in=30)]
    async with plant.working():
        await plant.send("a", "b")
        await plant.eventually(lambda: plant.handled == ["b"])
        retry_queue = flow.retry_queue(QUEUE, 1)
        async with within(5):
            while not await bus.depth(retry_queue):
                await asyncio.sleep(0.01)
    assert (await bus.depth(retry_queue), await bus.depth(QUEUE)) == (1, 0)
    parked = await anext(aiter(await bus.subscribe(retry_queue, prefetch=1)))
    assert parked.headers["loom-attempt"] == 1


async def test_a_paused_worker_that_is_told_to_stop_ends_at_once_and_loses_nothing(bus):
    plant = Plant(bus)
    plant.trouble["a"] = [away(opened_for=5, probe_in=600)]
    await plant.send("a")
    async with plant.working() as running:
        await plant.eventually(lambda: plant.tried == ["a"])
        plant.stop.set()
        async with within(5):
            await asyncio.wait({running})
    retry_queues = [flow.retry_queue(QUEUE, step) for step in range(len(flow.RETRY_DELAYS))]
    assert sum([await bus.depth(name) for name in (QUEUE, *retry_queues)]) == 1


async def test_a_run_that_ends_while_its_message_waits_is_not_handled(bus):
    plant = Plant(bus)
    plant.trouble["a"] = [away(opened_for=5, probe_in=0.3)]
    await plant.send("a")
    async with plant.working():
        await plant.eventually(lambda: plant.tried == ["a"])
        plant._worker._guard.learn("a", 2)
        await plant.send("b")
        await plant.eventually(lambda: plant.handled == ["b"])
    assert plant.tried.count("a") == 1


async def test_a_worn_out_worker_ends_and_its_message_goes_back(bus):
    plant = Plant(bus)
    plant.trouble["a"] = [WorkerWornOut("8 threads hang")]
    await plant.send("a")
    async with plant.working() as running:
        await asyncio.wait({running}, timeout=patience(5))
        assert isinstance(running.exception(), WorkerWornOut)
    assert await bus.depth(QUEUE) == 1


async def test_a_worn_out_worker_that_nobody_replaces_fails_the_run(bus):
    plant = Plant(bus, replaceable=False)
    plant.trouble["a"] = [WorkerWornOut("8 threads hang.")]
    await plant.send("a", "b")
    async with plant.working():
        await plant.eventually(lambda: plant.handled == ["b"])
    assert await bus.depth(QUEUE) == 0
    failed = await anext(aiter(await bus.subscribe(flow.FACTS_QUEUE, prefetch=1)))
    assert failed.type == "loom.stage.failed.v1"
    assert b"8 threads hang. Then: loom resume a." in failed.body
