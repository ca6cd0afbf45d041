"""Defines what asks one question, and asks several side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from loom_ai.answers.structured_output import Reply
from loom_ai.batches.pending import all_there, or_pending
from loom_ai.ports import ModelCall
from loom_common.errors import BreakerOpen, PermanentError

T = TypeVar("T")

Ask = Callable[[ModelCall], Awaitable[Reply]]
"""Asks one question and returns its answer in the declared shape. What makes several calls of a question takes such a
function and is one itself."""


async def side_by_side(asking: Sequence[Awaitable[T]]) -> list[T]:
    """Return what each brings, in order. Where one raises, the others are not waited for, and the gravest error of
    those that were raised is raised. Where batches answer some later, all are asked for, and then `AnswersPending` is
    raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(or_pending(each)) for each in asking]
    except ExceptionGroup as failures:
        raise gravest(failures) from None
    return all_there([task.result() for task in tasks])


def gravest(failures: ExceptionGroup[Exception]) -> Exception:
    """Return the error that says most: one that no retry will mend, then an open breaker, which says more than the
    failures that opened it."""
    return min(failures.exceptions, key=_rank)


def _rank(error: Exception) -> int:
    return 0 if isinstance(error, PermanentError) else 1 if isinstance(error, BreakerOpen) else 2
