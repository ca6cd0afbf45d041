"""Waiting for a condition, never for a time; and longer where the machine has other things to do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

INTERVAL = 0.03
LEAST, MOST = 2.0, 8.0
"""How many times longer than on a machine of its own something may take, at least and at most."""


def patience(seconds: float) -> float:
    """How long to wait here for what takes up to `seconds` on a machine of its own: as many times longer as there are
    processes that want each processor."""
    wanting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * min(max(LEAST, wanting), MOST)


def within(seconds: float) -> asyncio.Timeout:
    """A limit of time, as patient as the machine is busy."""
    return asyncio.timeout(patience(seconds))


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`, longer on a busy machine. It is asked at least once, and every
    30 ms."""
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL)
    return True
