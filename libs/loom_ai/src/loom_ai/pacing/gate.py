"""The calls in flight to one model at one endpoint, and those that wait to be."""

from __future__ import annotations

import asyncio
from collections import deque

from loom_ai.pacing.concurrency import Concurrency


class Gate:
    """Lets in as many at once as its `concurrency` says, first come first served."""

    def __init__(self, concurrency: Concurrency) -> None:
        self.concurrency = concurrency
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether all that may be in flight is."""
        return self._inside >= int(self.concurrency.limit)

    def enter_at_once(self) -> bool:
        """Whether one was let in; then `leave` must follow."""
        if self.busy or self._waiting:
            return False
        self._inside += 1
        return True

    async def enter(self) -> None:
        """Wait for one's turn; `leave` must follow."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled at once
                self.leave()
            raise

    def leave(self) -> None:
        """One place is free."""
        self._inside -= 1
        while self._waiting and not self.busy:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)
