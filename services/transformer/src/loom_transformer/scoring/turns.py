"""Lets one call at a time into an object of the user's, which may keep state from one call to the next."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any


class Turns:
    """Gives calls their turns, in the order in which they came.

    Who waits holds no thread, and the time of a record has not begun. A call that was given up on, because it took too
    long, has had its turn, though its thread may still be in the object."""

    def __init__(self, scorer: Any) -> None:
        """Take one call at a time, unless the scorer is a function, which has no state of its own, or says that it is
        `thread_safe`."""
        while isinstance(scorer, partial):
            scorer = scorer.func
        if inspect.ismethod(scorer):
            scorer = scorer.__self__
        free = inspect.isroutine(scorer) or getattr(scorer, "thread_safe", False) is True
        self._lock = None if free else asyncio.Lock()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it."""
        if self._lock is None:
            yield
            return
        async with self._lock:
            yield
