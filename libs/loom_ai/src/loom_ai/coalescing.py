"""Carries out many single requests made at the same time as few requests for many.

While one group is under way the next one gathers, and where one has gathered it may gather for some milliseconds more:
so groups grow with the load, and nobody waits when there is none. This is the group commit of databases, for reads as
well as for writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_GATHERING_SECONDS = 0.003
"""Little beside the answer of a model, and much beside the statement that it saves."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Coalescer(Generic[Item, Result]):
    """Calls `work` with up to `limit` items; each caller gets the result at its item's place, or the group's error."""

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], limit: int = 500) -> None:
        self._work = work
        self._limit = limit
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """Raises whatever `work` raised. A caller that is cancelled leaves its item in the group."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._carry_out())
        return await future

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._running is not None:
            await self._running

    async def _carry_out(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(self._limit, len(self._waiting)))]
                await self._settle(group)
                if self._waiting:
                    await asyncio.sleep(_GATHERING_SECONDS)
        finally:
            self._running = None

    async def _settle(self, group: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        futures = [future for _, future in group]
        try:
            results = await self._work([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - handed to every caller of the group
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            if not future.done():
                future.set_result(result)
