"""Ends a process that cannot continue, even if something hangs while it closes.

Libraries close connections by waiting for the other side. A failed service that waits without end consumes nothing and
looks alive, and its supervisor only restarts processes that end."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable

from loom_common.logs.logger import log

SECONDS = 30.0
"""The number of seconds from the first failure, or from the end of all work, to the forced end of the process."""


class ExitWatchdog:
    """Represents the watchdog of one process."""

    def __init__(self, seconds: float = SECONDS, end: Callable[[int], object] = os._exit) -> None:
        self._seconds = seconds
        self._end = end
        self._timer: threading.Timer | None = None

    async def watched(self, work: Awaitable[None]) -> None:
        """Await `work`. Where it fails, the time to the forced end begins."""
        try:
            await work
        except Exception:
            self.begin()
            raise

    def begin(self) -> None:
        """Start the time to the forced end. Only the first call has an effect."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = threading.Timer(self._seconds, self._cut_off, (loop,))
            self._timer.daemon = True
            self._timer.start()

    def ended(self) -> None:
        """Cancel the forced end, because everything is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _cut_off(self, loop: asyncio.AbstractEventLoop) -> None:
        hanging = sorted({str(getattr(task.get_coro(), "__qualname__", task)) for task in asyncio.all_tasks(loop)})
        log.error("service hangs on its way out, and is cut off", after_s=self._seconds, hanging=hanging)
        self._end(1)


class NoExitWatchdog(ExitWatchdog):
    """Never ends the process, because other work goes on in it: in the embedded engine and in tests."""

    def begin(self) -> None:
        return
