"""Prints every few seconds what a run waits for, with the seconds that are left."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from loom_common.domain.run.waiting_text import counted_down, has_passed

SECONDS_BETWEEN = 5.0


class Waits:
    """Follows what one run waits for. Told of each notice; `say` shows a line."""

    def __init__(self, say: Callable[[str], None], seconds: float = SECONDS_BETWEEN) -> None:
        self._say = say
        self._seconds = seconds
        self._notice: str | None = None
        self._changed = asyncio.Event()

    def heard(self, notice: str | None) -> None:
        """Take what the run says of itself now. A new notice is said at once."""
        if notice != self._notice:
            self._notice = notice
            self._changed.set()
            if notice:
                self._say(counted_down(notice, dt.datetime.now(dt.UTC)))

    @asynccontextmanager
    async def counting_down(self) -> AsyncIterator[None]:
        """Say what the run waits for again and again within the block, until its time has come: what the run does then
        is another notice."""
        task = asyncio.create_task(self._repeat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _repeat(self) -> None:
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._seconds):
                    await self._changed.wait()
            except TimeoutError:
                now = dt.datetime.now(dt.UTC)
                if self._notice and not has_passed(self._notice, now):
                    self._say(counted_down(self._notice, now))
