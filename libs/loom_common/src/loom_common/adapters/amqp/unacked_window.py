"""Counts one consumer's unacknowledged messages, and finds a moment in which no message is on its way to it.

A message that RabbitMQ has sent to a consumer that is cancelled before it arrives returns to the queue, counted as
delivered, and comes after its successors (3.10, measured). Before a consumer is cancelled its acknowledgements are
therefore held back: once its prefetch window is full, or nothing has come for a while, the broker has nothing more to
send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SILENCE_SECONDS = 0.3


class UnackedWindow:
    """Limits the unacknowledged messages of one consumer."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._unacknowledged = 0
        self._arrived = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    def arrived(self) -> None:
        """Count a message that arrived."""
        self._unacknowledged += 1
        self._arrived.set()

    async def settling(self) -> None:
        """Wait until an acknowledgement or rejection may be sent."""
        await self._open.wait()
        self._unacknowledged -= 1

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Hold back acknowledgements during the block, with no message on its way. It first waits up to
        `SILENCE_SECONDS` for each message that may still arrive."""
        self._open.clear()
        try:
            while self._unacknowledged < self._size and await self._another():
                pass
            yield
        finally:
            self._open.set()

    async def _another(self) -> bool:
        self._arrived.clear()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True
