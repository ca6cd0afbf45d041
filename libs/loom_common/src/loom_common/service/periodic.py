"""Runs what a service does again and again until it is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


async def every(seconds: float, stop: asyncio.Event) -> AsyncIterator[None]:
    """Run the body of `async for _ in every(...)` at once, and again `seconds` after each end of it, until `stop` is
    set. A body that has begun is not interrupted; who waits for the next one is."""
    while not stop.is_set():
        yield
        await wait_for_stop(stop, seconds)


async def wait_for_stop(stop: asyncio.Event, seconds: float) -> None:
    """Return as soon as `stop` is set, or after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
