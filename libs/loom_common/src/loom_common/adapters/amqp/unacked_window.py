"""What one consumer has in hand, and a moment in which nothing is on its way to it.

What RabbitMQ has sent to a consumer that is cancelled before it arrives goes back to the queue, counted as delivered,
and comes after its successors (3.10, measured). So before a consumer is cancelled its acknowledgements are held back:
once its window is full, or nothing came for a while, the broker has nothing more to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SILENCE_SECONDS = 0.3


class UnackedWindow:
    """Of one consumer, for as long as it lives."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._in_hand = 0
        self._arrived = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    def arrived(self) -> None:
        """A message came."""
        self._in_hand += 1
        self._arrived.set()

    async def settling(self) -> None:
        """Before a message is acknowledged or rejected: returns when the broker may hear of it."""
        await self._open.wait()
        self._in_hand -= 1

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """For the block nothing is acknowledged, and nothing is on its way. Waits `SILENCE_SECONDS` for each message
        that may still come."""
        self._open.clear()
        try:
            while self._in_hand < self._size and await self._another():
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
