"""What the coordinator says to every replica reaches whoever it concerns, and nothing else stops it."""

import asyncio

import pytest

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import PrefetchLimit, RunAccepted, RunEpoch
from loom_common.flow import Binding, Exchange, Queue, Topology
from loom_common.ports.bus import Wire
from loom_common.service.control.channel import ControlChannel
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker
from loom_dev.waiting import patience, within

QUEUE = "work"
TOPOLOGY = Topology(queues=(Queue(QUEUE, (Binding(Exchange.WORK, "#"),)),))


@pytest.fixture
async def bus():
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    yield bus
    await bus.close()


class Listening:
    """Follows a `ControlChannel`, and keeps what it heard."""

    def __init__(self, bus: MemoryBus, service: str = "loader") -> None:
        self.heard: asyncio.Queue = asyncio.Queue()
        self.control = ControlChannel(bus, service)
        for kind in (RunEpoch, PrefetchLimit):
            self.control.on(kind, self._hear)
        self._bus = bus

    async def _hear(self, message) -> None:
        self.heard.put_nowait(message)

    async def __aenter__(self):
        self._following = asyncio.create_task(self.control.follow())
        async with within(5):
            while not self._bus.standing().consumers:
                await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_):
        await self.control.stop()
        await asyncio.wait_for(self._following, patience(5))


def said(message, to: str = "all") -> Wire:
    return encode(Outgoing(flow.control(to), message, mandatory=False), "test")


EPOCH = RunEpoch(run_id="run_1", epoch=2)


def limit(prefetch: int, queue: str = QUEUE) -> PrefetchLimit:
    return PrefetchLimit(service="loader", queue=queue, prefetch=prefetch)


async def test_each_kind_of_message_reaches_who_hears_it(bus):
    async with Listening(bus) as listening:
        await bus.publish([said(EPOCH), said(limit(3), to="loader")])
        assert [await asyncio.wait_for(listening.heard.get(), patience(5)) for _ in range(2)] == [EPOCH, limit(3)]


async def test_what_is_said_to_another_service_is_not_heard(bus):
    async with Listening(bus) as listening:
        await bus.publish([said(limit(3), to="transformer"), said(EPOCH)])
        assert await asyncio.wait_for(listening.heard.get(), patience(5)) == EPOCH


@pytest.mark.parametrize(
    "strange",
    [
        Wire(Exchange.CONTROL, "control.all", b"{", type=EPOCH.type, mandatory=False),
        Wire(Exchange.CONTROL, "control.all", b"{}", type="loom.run.epoch.v2", mandatory=False),
        said(RunAccepted(run_id="run_1", pipeline="p", status="running")),
    ],
)
async def test_what_is_not_understood_does_not_end_the_listening(bus, strange):
    async with Listening(bus) as listening:
        await bus.publish([strange, said(EPOCH)])
        assert await asyncio.wait_for(listening.heard.get(), patience(5)) == EPOCH


async def working(bus, prefetch: int, stop: asyncio.Event) -> tuple[Worker, asyncio.Task]:
    async def hold(_, __):
        await asyncio.Event().wait()

    worker = Worker(
        "loader",
        ConsumerSpec(QUEUE, (Accepts(RunEpoch, hold, router.nothing),), prefetch),
        bus,
        EpochGuard(),
        drain_seconds=0,
    )
    running = asyncio.create_task(worker.run(stop))
    async with within(5):
        while not bus.standing().consumes(QUEUE):
            await asyncio.sleep(0)
    return worker, running


async def test_a_worker_takes_as_many_as_it_is_told(bus):
    stop = asyncio.Event()
    worker, running = await working(bus, 2, stop)
    await bus.publish([encode(Outgoing(flow.Route(Exchange.WORK, "x"), EPOCH), "test")] * 5)
    assert await bus.depth(QUEUE) == 3

    await worker.heed(limit(4))
    assert (bus.standing().prefetch(QUEUE), await bus.depth(QUEUE)) == (4, 1)

    await worker.heed(limit(9, queue="another"))
    assert bus.standing().prefetch(QUEUE) == 4
    stop.set()
    await running


async def test_a_limit_that_comes_before_the_worker_consumes_is_kept(bus):
    stop = asyncio.Event()

    async def handle(_, __):
        return ()

    worker = Worker("loader", ConsumerSpec(QUEUE, (Accepts(RunEpoch, handle, router.nothing),), 8), bus, EpochGuard())
    await worker.heed(limit(3))
    running = asyncio.create_task(worker.run(stop))
    async with within(5):
        while not bus.standing().consumes(QUEUE):
            await asyncio.sleep(0)
    assert bus.standing().prefetch(QUEUE) == 3
    stop.set()
    await running
