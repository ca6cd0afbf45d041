"""A conversation goes on whatever anyone publishes."""

from __future__ import annotations

import asyncio

from loom.session import Session
from loom_common import flow
from loom_common.adapters.memory_bus import MemoryBus
from loom_common.contracts.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunProgress
from loom_common.domain.tally import Tally
from loom_common.flow import TOPOLOGY, Binding, Exchange
from loom_common.ports.bus import Wire

RUN = "run_1"


async def test_an_event_nobody_can_read_is_passed_over():
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, "run.progress.*")])
    session = Session(bus, queue, await bus.subscribe(queue, prefetch=10))
    listening = asyncio.create_task(session.listen())
    paused = RunProgress(
        run_id=RUN, pipeline="reviews", status="paused", tally=Tally(), total=None, stages={}, elapsed=1.0, notice=None
    )
    following = asyncio.create_task(anext(aiter(session.follow(RUN))))
    await asyncio.sleep(0)

    await bus.publish([Wire(Exchange.EVENTS, "run.progress.reviews", b"{", type="loom.run.progress.v9")])
    await bus.publish([encode(Outgoing(flow.fact("run", "progress", "reviews"), paused), "test")])

    async with asyncio.timeout(5):
        assert (await following).status == "paused"
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await bus.close()
