"""Tests that what follows from a slice is published while the rest of it is still being encoded, the fact first."""

from __future__ import annotations

import asyncio

import pytest

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import ExtractSlice, SliceExtracted
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import DependencyUnavailable
from loom_common.flow import Exchange, Stage
from loom_common.ports.bus import Wire
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.consuming.publishing import FEW, Publishing
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.slices import SliceRecord, cut
from loom_common.worker.worker import Worker
from loom_dev.waiting import within

QUEUE = flow.work_queue(Stage.EXTRACT)
MANY = 2 * FEW


class RecordingBus(MemoryBus):
    """Keeps the names of what it is asked to publish, and is away for those that are `refused`."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[str] = []
        self.refused: set[str] = set()

    async def publish(self, messages) -> None:
        names = [wire.message_id for wire in messages]
        self.published += names
        await asyncio.sleep(0)
        if self.refused.intersection(names):
            raise DependencyUnavailable("The broker is away.")


class SlowBus(MemoryBus):
    """Takes work only once it is `open`."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def publish(self, messages) -> None:
        if any(wire.exchange == Exchange.WORK for wire in messages):
            await self.open.wait()
        await super().publish(messages)


def named(messages) -> list[Wire]:
    return [Wire("e", "k", b"", message_id=str(each)) for each in messages]


async def test_the_first_of_many_messages_is_published_before_the_next_is_encoded():
    bus, seen = RecordingBus(), []

    def encoding(messages):
        seen.append((messages[0], list(bus.published)))
        return named(messages)

    publishing = Publishing(bus)
    rest = await publishing.encoded(range(MANY), encoding)
    assert seen[:2] == [(0, []), (1, ["0"])]
    await publishing.confirmed()
    assert [*bus.published, *(wire.message_id for wire in rest)] == [str(each) for each in range(MANY)]


async def test_a_few_messages_are_left_to_the_caller():
    bus = RecordingBus()
    publishing = Publishing(bus)
    assert await publishing.encoded(range(FEW), named) == named(range(FEW))
    await publishing.confirmed()
    assert bus.published == []


async def test_a_message_that_the_broker_does_not_take_is_told_at_the_end():
    bus = RecordingBus()
    bus.refused = {"0"}
    publishing = Publishing(bus)
    await publishing.encoded(range(MANY), named)
    with pytest.raises(DependencyUnavailable):
        await publishing.confirmed()
    await publishing.end()


async def test_a_message_that_cannot_be_encoded_stops_those_after_it():
    bus = RecordingBus()

    def encoding(messages):
        if 3 in messages:
            raise ValueError("not JSON")
        return named(messages)

    publishing = Publishing(bus)
    with pytest.raises(ValueError, match="not JSON"):
        await publishing.encoded(range(MANY), encoding)
    await publishing.end()
    assert bus.published[:1] == ["0"]
    assert "3" not in bus.published


async def reads(request, _):
    records = [SliceRecord(str(at), {"n": at}) for at in range(MANY)]
    return cut(
        request,
        records,
        extract=ExtractConfig(source="x.csv", batch_size=1),
        cursor=7,
        end=False,
        on_failure="quarantine",
        stages=(Stage.EXTRACT, Stage.LOAD),
    )


async def test_a_slice_is_told_of_while_its_batches_wait_and_is_acknowledged_after_them():
    bus, stop = SlowBus(), asyncio.Event()
    await bus.declare(flow.TOPOLOGY)
    request = ExtractSlice(
        run_id="run_1", pipeline="p", plan="x", epoch=1, partition=0, slice=0, max_batches=MANY, budget=None
    )
    bus.open.set()
    await bus.publish([encode(Outgoing(flow.work(Stage.EXTRACT, "p"), request), "test", hands_over=True)])
    bus.open.clear()
    spec = ConsumerSpec(QUEUE, (Accepts(ExtractSlice, reads, router.sliced),))
    worker = Worker("test", spec, bus, EpochGuard())
    running = asyncio.create_task(worker.run(stop))
    async with within(10):
        fact = await anext(aiter(await bus.subscribe(flow.FACTS_QUEUE, 1)))
        assert fact.type == SliceExtracted.type
        assert await bus.depth(flow.work_queue(Stage.LOAD)) == 0
        stop.set()  # it drains: the request is in flight
        await asyncio.sleep(0)
        assert not running.done()
        bus.open.set()
        await running
    assert await bus.depth(flow.work_queue(Stage.LOAD)) == MANY
    assert await bus.depth(QUEUE) == 0
    await bus.close()
