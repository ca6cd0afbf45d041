"""Opens a session on a bus that is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from loom.session.client import Session
from loom_common.flow import Binding, Exchange
from loom_common.ports.bus import Bus, Subscription

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
