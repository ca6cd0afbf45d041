"""Waits for records of a source that tells nobody of new ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from loom_common.ports.clock import Clock

T = TypeVar("T")

QUIET_SECONDS = 1.0
"""The most that one question to a source waits for a record. Whoever asks looks then whether to ask again."""


async def looked_for(look: Callable[[], Awaitable[T | None]], pause: float, clock: Clock) -> T | None:
    """Look until something is found, with pauses, for `QUIET_SECONDS` at most. Return None where nothing was."""
    ends = clock.monotonic() + QUIET_SECONDS
    while (found := await look()) is None:
        left = ends - clock.monotonic()
        if left <= 0:
            return None
        await clock.sleep(min(pause, left))
    return found
