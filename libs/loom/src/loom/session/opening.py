"""Opens sessions: with the services in this process, or as a client of a cluster's bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from loom.engine import Watch, embedded
from loom.project.config import LoomConfig
from loom.session.client import Session
from loom.session.embedded import EmbeddedSession
from loom.views import open_views
from loom_common.contracts.v1 import (
    RunReport,
)
from loom_common.flow import Binding, Exchange
from loom_common.ports.bus import Bus, Subscription
from loom_common.service.bootstrap import open_platform
from loom_common.service.logging import configure_logging


@asynccontextmanager
async def open_session(
    config: LoomConfig, *, cluster: bool, wait: bool = False, follows: bool = True, watch: Watch | None = None
) -> AsyncIterator[Session]:
    """Open a session; embedded, the six services run in this process until the session ends; with `wait`, they wait for
    upstreams that were never there, and `watch` sees what they publish. Cluster: a client of its bus. `follows`:
    whether runs are followed there."""
    if not structlog.is_configured():  # the command line has done so; a notebook or a script has not
        configure_logging(config.settings().log.model_copy(update={"format": "console"}))
    if cluster:
        settings = config.for_cluster().settings()
        async with open_platform(settings, "loom-cli") as platform, conversation(platform.bus) as session:
            yield session
    else:
        settings = config.settings()
        if wait:
            settings = settings.model_copy(
                update={"breaker": settings.breaker.model_copy(update={"seek_seconds": None})}
            )
        async with embedded(settings, watch) as (platform, owner):

            def build(bus: Bus, queue: str, events: Subscription) -> Session:
                return EmbeddedSession(bus, queue, events, config, owner, follows=follows)

            async with conversation(platform.bus, build, follows=follows) as session:
                yield session


async def settled_report(config: LoomConfig, report: RunReport) -> RunReport:
    """Return the report of an embedded run that ended, once its session is closed. A run that ended before its time is
    told of at once; what the loader then put in place, or removed, is in the state database. A cluster's is as it was
    told."""
    if config.distributed or report.status == "succeeded":
        return report
    async with open_views(config) as views:
        return await views.report(report.run_id) or report


Build = Callable[[Bus, str, Subscription], Session]
"""Makes a session of a bus, and of a queue of its own with what arrives there."""


@asynccontextmanager
async def conversation(bus: Bus, build: Build | None = None, *, follows: bool = True) -> AsyncIterator[Session]:
    """Open a session on a bus, which must not close before it. Unless it `follows` runs, their events are not sent to
    it."""
    told = ("progress", "finished") if follows else ()
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, f"run.{what}.*") for what in told])
    events = await bus.subscribe(queue, prefetch=100)
    session = build(bus, queue, events) if build else Session(bus, queue, events, follows=follows)
    listening = asyncio.create_task(session.listen())
    try:
        yield session
    finally:
        await events.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
