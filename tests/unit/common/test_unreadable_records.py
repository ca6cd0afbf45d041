"""Tests what becomes of a batch whose header can be read, and whose records cannot."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchExtracted
from loom_common.errors import DependencyUnavailable
from loom_common.flow import Stage
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.consuming.stats import ConsumerStats, MessageOutcome
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.stage_result import unchanged
from loom_common.worker.worker import Worker
from loom_dev.waiting import within
from support.plans import batch_of, plan_of

QUEUE = flow.work_queue(Stage.TRANSFORM)
LAST_ATTEMPT = 100


async def passes_on(batch, _):
    return unchanged(batch.records, tuple(Stage))


async def reads(batch, _):
    return unchanged(list(batch.records), tuple(Stage))


async def gives_up(*_):
    raise DependencyUnavailable("away")


def broken(attempt: int = 1):
    batch = batch_of(plan_of({"type": "passthrough"}), [{"a": 1}, {"a": 2}])
    wire = encode(Outgoing(flow.work(Stage.TRANSFORM, "p"), batch, attempt=attempt), "test")
    return replace(wire, body=wire.body.replace(b'"id":"r1"', b'"id":{}'), message=None)


async def taken(handler, wire):
    """Let a worker take the message. Return the bus, and what the worker counted."""
    bus, stats, stop = MemoryBus(), ConsumerStats(QUEUE), asyncio.Event()
    await bus.declare(flow.TOPOLOGY)
    await bus.publish([wire])
    spec = ConsumerSpec(QUEUE, (Accepts(BatchExtracted, handler, router.transformed),))
    running = asyncio.create_task(Worker("test", spec, bus, EpochGuard(), stats=stats).run(stop))
    async with within(10):
        while not stats.outcomes.total() or stats.in_flight:
            await asyncio.sleep(0.01)
        stop.set()
        await running
    return bus, stats.outcomes


async def first_of(bus, queue):
    async with within(10):
        return await anext(aiter(await bus.subscribe(queue, 1)))


@pytest.mark.parametrize("attempt", [1, LAST_ATTEMPT])
async def test_it_is_set_aside_as_it_came_by_the_stage_that_reads_them(attempt):
    bus, outcomes = await taken(reads, broken(attempt))
    dead = await first_of(bus, flow.DEAD_QUEUE)
    assert (dead.body, dead.type) == (broken().body, BatchExtracted.type)
    assert dead.headers["loom-dead-reason"] == "records.1.id: Input should be a valid string"
    assert dead.headers["loom-records-at"] == broken().headers["loom-records-at"]
    assert outcomes == {**dict.fromkeys(MessageOutcome, 0), MessageOutcome.FAILED: 1}
    assert await bus.depth(flow.FACTS_QUEUE) == await bus.depth(flow.work_queue(Stage.EVALUATE)) == 0
    await bus.close()


async def test_it_is_set_aside_where_nobody_read_them_before_its_records_are_to_be_kept():
    bus, _ = await taken(gives_up, broken(LAST_ATTEMPT))
    assert "records.1.id" in (await first_of(bus, flow.DEAD_QUEUE)).headers["loom-dead-reason"]
    assert await bus.depth(flow.QUARANTINE_QUEUE) == 0
    await bus.close()


async def test_it_waits_for_its_next_attempt_as_it_came():
    bus, outcomes = await taken(gives_up, broken())
    assert outcomes[MessageOutcome.RETRIED] == 1
    again = await first_of(bus, flow.retry_queue(QUEUE, 0))
    assert (again.headers["loom-attempt"], again.body) == (2, broken().body)
    await bus.close()


async def test_it_passes_a_stage_that_has_nothing_to_do():
    bus, outcomes = await taken(passes_on, broken())
    assert outcomes[MessageOutcome.HANDLED] == 1
    assert len((await first_of(bus, flow.work_queue(Stage.EVALUATE))).message.records) == 2
    await bus.close()
