"""Lets every record of a message enter its requests before the message is put back because one of them waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from loom_common.errors import AnswersPending

T = TypeVar("T")


async def or_pending(work: Awaitable[T]) -> T | AnswersPending:
    """Return what the work brings, or that a batch answers it later. Raises everything else that it raises."""
    try:
        return await work
    except AnswersPending as pending:
        return pending


def all_there(results: Sequence[T | AnswersPending]) -> list[T]:
    """Return the results. Raises `AnswersPending` where one of them is awaited, with the shortest time to wait."""
    pending = [each for each in results if isinstance(each, AnswersPending)]
    if pending:
        raise min(pending, key=lambda each: each.retry_in)
    return [each for each in results if not isinstance(each, AnswersPending)]


def told_unless_pending(task: asyncio.Task[T | AnswersPending], tell: Callable[[], None]) -> None:
    """Tell that a task has ended, unless it ended because a batch answers later."""
    failed = task.cancelled() or task.exception() is not None
    if failed or not isinstance(task.result(), AnswersPending):
        tell()
