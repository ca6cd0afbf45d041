"""Has loaders tell of several batches by one message, and of each by its own where a coordinator needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.session import open_session
from loom_common import flow
from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchFact, BatchFacts, PrefetchLimit
from loom_common.flow import Binding, Exchange, Stage, work_queue
from loom_dev.waiting import within
from support.clients import ended, request_of
from support.cluster import Cluster
from support.places import Place
from support.projects import PASSTHROUGH, project, reviews

BATCHES, EACH = 300, 5
LOADS = work_queue(Stage.LOAD)


async def told_of(place: Place, bus: AmqpBus, name: str) -> list[list[str]]:
    """Run a pipeline of so many batches that all are loaded. Return the batches that each message told of."""
    made = project(
        place.folder / name,
        reviews(BATCHES * EACH),
        name=name,
        transform=PASSTHROUGH,
        destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": EACH},
    )
    tap = await bus.temporary_queue([Binding(Exchange.EVENTS, f"batch.loaded.{name}")])
    async with open_session(place.config, cluster=True) as session:
        run_id = (await session.start(request_of(made, place.config))).run_id
        report = (await ended(session, run_id)).report.model_dump()
    assert (report["status"], report["records"]["loaded"]) == ("succeeded", BATCHES * EACH)
    messages: list[list[str]] = []
    subscription = await bus.subscribe(tap, prefetch=BATCHES)
    async with within(20):
        while sum(map(len, messages)) < BATCHES:
            message = decode(await anext(aiter(subscription)), BatchFact, BatchFacts)
            facts = message.facts if isinstance(message, BatchFacts) else (message,)
            messages.append([fact.header.batch_id for fact in facts])
    await subscription.close()
    return messages


@asynccontextmanager
async def an_earlier_coordinator(bus: AmqpBus) -> AsyncIterator[None]:
    """Say within the block what a coordinator of an earlier version says to every loader."""
    limit = encode(
        Outgoing(flow.control("loader"), PrefetchLimit(service="loader", queue=LOADS, prefetch=16)), "coordinator"
    )

    async def say() -> None:
        while True:
            await bus.publish([limit])
            await asyncio.sleep(1)

    await bus.publish([limit])
    saying = asyncio.create_task(say())
    try:
        yield
    finally:
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)


async def test_several_batches_are_told_of_by_one_message_unless_an_earlier_coordinator_is_at_work(cluster: Cluster):
    place = Place(cluster.project, clustered=True, environ=cluster.credentials)
    bus = await AmqpBus.connect(cluster.bus_url, name="test")
    try:
        together = [[""]]
        async with within(60):  # the coordinators are heard every three seconds
            while max(map(len, together)) == 1:
                together = await told_of(place, bus, "together")
        async with an_earlier_coordinator(bus):
            apart = await told_of(place, bus, "apart")
    finally:
        await bus.close()

    assert len({each for message in together for each in message}) == BATCHES
    assert len({each for message in apart for each in message}) == BATCHES
    assert {len(message) for message in apart} == {1}
