"""Waits for conditions, with time limits that grow with the load of the machine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

INTERVAL = 0.03
LEAST, MOST = 2.0, 8.0
"""Holds the least and the most factor of a time limit against that on an idle machine."""


def patience(seconds: float) -> float:
    """Return the time limit here, in seconds, for what takes up to `seconds` on an idle machine: it grows with the
    number of processes per processor."""
    wanting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(max(LEAST, wanting), MOST)


@asynccontextmanager
async def within(seconds: float, awaited: str | None = None) -> AsyncIterator[None]:
    """End the block after a time that grows with the load of the machine. Raises `TimeoutError`; where it is said what
    is `awaited`, e.g. "the second page", an `AssertionError` that names it."""
    limit = asyncio.timeout(patience(seconds))
    try:
        async with limit:
            yield
    except TimeoutError:
        if awaited is None or not limit.expired():
            raise
        raise AssertionError(f"It was waited in vain, for {patience(seconds):.0f} s, for {awaited}.") from None


def until(condition: Callable[[], bool], seconds: float, every: float = INTERVAL) -> bool:
    """Wait for `condition` for `seconds`, longer on a busy machine, and return whether it came true. It is evaluated at
    least once, and then `every` so many seconds."""
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
