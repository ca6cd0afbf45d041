"""Makes a model client when the first call is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loom_ai.ports import ModelAnswer, ModelCall, ModelClient, Waits


class FirstCallClient:
    """Serves a process that may never ask a model. What a `ModelClient` imports takes as long as a small run. It is
    imported in a thread: the process goes on meanwhile."""

    def __init__(self, make: Callable[[], ModelClient]) -> None:
        self._make = make
        self._making: asyncio.Task[ModelClient] | None = None

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make))
        client = await asyncio.shield(self._making)
        return await client.complete(call, waits)

    async def close(self) -> None:
        if self._making is not None:
            (made,) = await asyncio.gather(self._making, return_exceptions=True)
            if not isinstance(made, BaseException):
                await made.close()
