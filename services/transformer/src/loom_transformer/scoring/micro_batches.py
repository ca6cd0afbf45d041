"""Puts the texts of several batches of records together, into one call of a scorer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class MicroBatches(Generic[T, R]):
    """Calls `work` with `size` items as soon as there are so many, and with fewer `wait` seconds after the oldest of
    them came."""

    def __init__(self, work: Callable[[Sequence[T]], Awaitable[Sequence[R]]], size: int, wait: float) -> None:
        self._work = work
        self._size = size
        self._wait = wait
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._underway: set[asyncio.Task[None]] = set()

    async def each(self, items: Sequence[T]) -> list[R]:
        """Return the result of each item, in order. Raises what `work` raises for a group that one of them is in."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[R]] = [loop.create_future() for _ in items]
        for item, future in zip(items, futures, strict=True):
            self._waiting.append((item, future))
            if len(self._waiting) == self._size:
                self._send()
        if self._waiting and self._timer is None:
            self._timer = loop.call_later(self._wait, self._send)
        return await asyncio.gather(*futures)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group = [(item, future) for item, future in self._waiting if not future.done()]
        self._waiting.clear()
        if group:
            task = asyncio.create_task(self._carry_out(group))
            self._underway.add(task)
            task.add_done_callback(self._underway.discard)

    async def _carry_out(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        futures = [future for _, future in group]
        try:
            results = await self._work([item for item, _ in group])
        except asyncio.CancelledError:
            for future in futures:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - raised where each result is awaited
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            if not future.done():
                future.set_result(result)
