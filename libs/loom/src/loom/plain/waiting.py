"""Waits for a coroutine where code is not asynchronous, also where an event loop runs already, as in a notebook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Return what the coroutine returns, or raise what it raises. An interrupt cancels it."""
    with event_loop() as loop:
        return loop.result_of(work)


def each_of(records: AsyncIterator[T]) -> Iterator[T]:
    """Yield what the asynchronous iterator yields. Leaving the loop closes it."""
    with event_loop() as loop:
        try:
            while True:
                try:
                    record = loop.result_of(_next(records))
                except StopAsyncIteration:
                    return
                yield record
        finally:
            loop.result_of(_close(records))


async def _next(records: AsyncIterator[T]) -> T:
    return await anext(records)


async def _close(records: AsyncIterator[Any]) -> None:
    close = getattr(records, "aclose", None)
    if close is not None:
        await close()


class Loop:
    """Runs an event loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def result_of(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns. An interrupt cancels it, and is raised once it has ended."""
        done = threading.Event()
        begun: list[asyncio.Task[T]] = []

        def begin() -> None:
            begun.append(self._loop.create_task(work))
            begun[0].add_done_callback(lambda _: done.set())

        self._loop.call_soon_threadsafe(begin)
        try:
            done.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in begun])
            done.wait()
            raise
        return begun[0].result()


@contextmanager
def event_loop() -> Iterator[Loop]:
    """Run an event loop within the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loom", daemon=True)
    thread.start()
    try:
        yield Loop(loop)
    finally:
        asyncio.run_coroutine_threadsafe(_end(loop), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
