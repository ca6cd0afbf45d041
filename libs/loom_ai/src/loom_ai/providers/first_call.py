"""Makes a model client when the first call is made."""

from __future__ import annotations

from collections.abc import Callable

from loom_ai.ports import ModelAnswer, ModelCall, ModelClient, Waits


class FirstCallClient:
    """Serves a process that may never ask a model. What a `ModelClient` imports, aiohttp above all, takes longer than a
    small run."""

    def __init__(self, make: Callable[[], ModelClient]) -> None:
        self._make = make
        self._made: ModelClient | None = None

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        if self._made is None:
            self._made = self._make()
        return await self._made.complete(call, waits)

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
