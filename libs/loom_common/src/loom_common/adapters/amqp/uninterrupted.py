"""Runs commands to the broker to their end, also where the task that waits for them is cancelled.

aiormq cannot be cancelled in the middle of a command: it swallows some cancellations, so that a cancelled task goes on
without end, and after others RabbitMQ closes the whole connection because of a channel that is half open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()
"""Tasks are held here, because the event loop keeps only weak references to them."""


def cancelled_by_us() -> bool:
    """Say whether the `CancelledError` that is being handled is a cancellation of this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def uninterrupted(work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[object]] | None = None) -> T:
    """Return the result of `work`, or raise what it raises.

    Where the caller is cancelled meanwhile, it ends at once, and `work` goes on by itself. What it made is then given
    to `undo`, because nobody else knows of it."""
    task = asyncio.create_task(work)
    _hold(task)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if undo is not None and not task.cancelled():
            _hold(asyncio.create_task(_undo(task, undo)))
        raise


async def _undo(task: asyncio.Task[T], undo: Callable[[T], Awaitable[object]]) -> None:
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        await undo(task.result())


def _hold(task: asyncio.Task[Any]) -> None:
    _running.add(task)
    task.add_done_callback(_release)


def _release(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # it was raised where somebody still waited
