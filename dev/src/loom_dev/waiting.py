"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

INTERVAL = 0.03


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`. It is asked at least once, and every 30 ms."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL)
    return True
