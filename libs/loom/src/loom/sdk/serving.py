"""Opens an engine for a process that stays, such as `loom serve`, and starts there what runs of it spawn.

On a cluster the coordinator starts it. Where the process ends before, `loom resume` of the run does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom.project.config import LoomConfig
from loom.requests.spawned import below, request_for
from loom.session import RunEngine, open_session
from loom.views import open_views
from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.v1 import RunFinished
from loom_common.domain.values.ids import run_id_for, spawn_key
from loom_common.errors import LoomError
from loom_common.flow import Binding, Exchange
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Subscription
from loom_common.service.bootstrap import Platform


@asynccontextmanager
async def open_serving(config: LoomConfig, *, follows: bool = True) -> AsyncIterator[RunEngine]:
    """Open the engine that the project names, as `open_session` does. What its embedded runs spawn begins when they
    have succeeded, once each."""
    buses: list[Bus] = []

    async def seen(platform: Platform) -> Bus:
        buses.append(platform.bus)
        return platform.bus

    async with open_session(config, follows=follows, watch=seen) as session:
        if not buses:  # an engine that has no bus in this process
            yield session
            return
        queue = await buses[0].temporary_queue([Binding(Exchange.EVENTS, "run.finished.*")])
        events = await buses[0].subscribe(queue, prefetch=1)
        spawning = asyncio.create_task(_spawn(config, session, events))
        try:
            yield session
        finally:
            await events.close()
            spawning.cancel()
            await asyncio.gather(spawning, return_exceptions=True)


async def _spawn(config: LoomConfig, session: RunEngine, events: Subscription) -> None:
    async for delivery in events:
        message = decode(delivery)
        if isinstance(message, RunFinished) and message.report.status == "succeeded":
            await _begin_below(config, session, message.run_id)
        await delivery.ack()


async def _begin_below(config: LoomConfig, session: RunEngine, run_id: str) -> None:
    """Begin what a run spawns. What those spawn in turn begins when they have succeeded. What cannot begin is logged:
    nobody is there to be told, and the run shows it as not started."""
    async with open_views(config) as views:
        run = await views.row(run_id)
    for child in [] if run is None else run.spawns:
        assert run is not None
        key = spawn_key(run.pipeline_name, run_id, child)
        try:
            loaded = below(run.pipeline_name, [child], config)[0].loaded
            request = await request_for(loaded, key, config, wait=False, say=log.info, requested_by=run.requested_by)
            await session.start(request)
        except LoomError as error:
            log.error(
                "a spawned run is not started", pipeline=child, run_id=run_id_for(key), after=run_id, reason=str(error)
            )
