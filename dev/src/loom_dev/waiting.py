"""Waits for conditions, with time limits that grow with the load of the machine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

INTERVAL = 0.03
LEAST, MOST = 2.0, 8.0
"""Holds the least and the most factor of a time limit against that on an idle machine."""


def patience(seconds: float) -> float:
    """Return the time limit here, in seconds, for what takes up to `seconds` on an idle machine: it grows with the
    number of processes per processor."""
    wanting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(max(LEAST, wanting), MOST)


def within(seconds: float) -> asyncio.Timeout:
    """Return a timeout that grows with the load of the machine."""
    return asyncio.timeout(patience(seconds))


def until(condition: Callable[[], bool], seconds: float, every: float = INTERVAL) -> bool:
    """Wait for `condition` for `seconds`, longer on a busy machine, and return whether it came true. It is evaluated at
    least once, and then `every` so many seconds."""
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
