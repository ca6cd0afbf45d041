"""A process that cannot go on ends, whatever hangs on its way out: its supervisor can only start again what has ended.

Connections are closed by libraries that wait for the other side. A service that failed and waits for ever is worse than
one that is cut off: it consumes nothing, and looks alive."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

SECONDS = 30.0
"""From the first failure, or from the end of all work, to the end of the process."""


class ExitWatchdog:
    """Of one process."""

    def __init__(self, seconds: float = SECONDS, end: Callable[[int], object] = os._exit) -> None:
        self._seconds = seconds
        self._end = end
        self._timer: threading.Timer | None = None

    async def watched(self, work: Awaitable[None]) -> None:
        """Do `work`; where it fails, the process has its seconds to end."""
        try:
            await work
        except Exception:
            self.begin()
            raise

    def begin(self) -> None:
        """From now on. Only the first time counts."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = threading.Timer(self._seconds, self._cut_off, (loop,))
            self._timer.daemon = True
            self._timer.start()

    def ended(self) -> None:
        """Everything is closed: nothing needs to be cut off."""
        if self._timer is not None:
            self._timer.cancel()

    def _cut_off(self, loop: asyncio.AbstractEventLoop) -> None:
        hanging = sorted({str(getattr(task.get_coro(), "__qualname__", task)) for task in asyncio.all_tasks(loop)})
        log.error("service hangs on its way out, and is cut off", after_s=self._seconds, hanging=hanging)
        self._end(1)


class NoExitWatchdog(ExitWatchdog):
    """Where other work goes on in the same process: the embedded engine, tests."""

    def begin(self) -> None:
        return
