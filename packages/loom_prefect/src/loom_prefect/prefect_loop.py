"""Runs Prefect on an event loop of its own, in a thread.

There it cannot take the signals of the process, by which Loom pauses a run, and what it computes and waits for does not
hold up Loom's own event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from prefect.events.worker import EventsWorker

T = TypeVar("T")
_STATES_SECONDS = 10.0
"""Says how long the last states may take on their way to the server."""


class PrefectLoop:
    """Represents the event loop. Open with `prefect_loop`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, T], context: contextvars.Context | None = None) -> asyncio.Future[T]:
        """Begin a coroutine there, in a copy of `context`. The future is one of the loop that calls, and cancelling it
        cancels the coroutine."""
        begun = (context or contextvars.copy_context()).copy().run(asyncio.run_coroutine_threadsafe, work, self.loop)
        return asyncio.wrap_future(begun)


@asynccontextmanager
async def prefect_loop() -> AsyncIterator[PrefectLoop]:
    """Run the event loop within the block; at its end, wait until the server has the last states."""
    opened = PrefectLoop()
    thread = threading.Thread(target=opened.loop.run_forever, name="prefect", daemon=True)
    thread.start()
    try:
        yield opened
    finally:
        opened.loop.call_soon_threadsafe(opened.loop.stop)
        await asyncio.to_thread(thread.join)
        opened.loop.close()
        await asyncio.to_thread(EventsWorker.drain_all, timeout=_STATES_SECONDS)
