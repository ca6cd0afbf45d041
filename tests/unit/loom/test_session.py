"""A conversation goes on whatever anyone publishes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.session import Session
from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import RunAccepted, RunProgress
from loom_common.domain.run.tally import Tally
from loom_common.flow import TOPOLOGY, Binding, Exchange, Route
from loom_common.ports.bus import Bus, Wire
from loom_dev.waiting import within

RUN = "run_1"


@asynccontextmanager
async def conversation() -> AsyncIterator[tuple[Bus, Session]]:
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, "run.progress.*")])
    session = Session(bus, queue, await bus.subscribe(queue, prefetch=10))
    listening = asyncio.create_task(session.listen())
    async with within(5):
        yield bus, session
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await bus.close()


def progress(status: str, epoch: int = 1) -> RunProgress:
    return RunProgress(run_id=RUN, pipeline="reviews", epoch=epoch, status=status, tally=Tally(), stages={}, elapsed=1)


async def told(bus: Bus, message: Message) -> None:
    await bus.publish([encode(Outgoing(flow.fact("run", "progress", "reviews"), message), "test")])


async def test_an_event_nobody_can_read_is_passed_over():
    async with conversation() as (bus, session):
        following = asyncio.create_task(anext(aiter(session.follow(RUN))))
        await asyncio.sleep(0)

        await bus.publish([Wire(Exchange.EVENTS, "run.progress.reviews", b"{", type="loom.run.progress.v9")])
        await told(bus, progress("paused"))

        assert (await following).status == "paused"


async def test_a_pause_that_is_told_late_does_not_end_what_was_resumed():
    async with conversation() as (bus, session):
        commands = await bus.subscribe(flow.RUNS_QUEUE, prefetch=1)
        resuming = asyncio.create_task(session.resume(RUN))
        asked = await anext(aiter(commands))
        following = asyncio.create_task(anext(aiter(session.follow(RUN))))
        accepted = RunAccepted(run_id=RUN, pipeline="reviews", status="running", epoch=2)
        answer = Outgoing(Route(Exchange.DIRECT, asked.reply_to), accepted, correlation_id=asked.correlation_id)
        await bus.publish([encode(answer, "test")])
        await resuming

        await told(bus, progress("paused", epoch=1))
        await told(bus, progress("running", epoch=2))

        assert (await following).status == "running"
