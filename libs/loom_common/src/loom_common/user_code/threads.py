"""Runs the user's synchronous code in threads that can be given up on.

A thread whose record does not come back is given up on. It is asked to end, which Python code does at its next step;
one that is held by something else - a sleep, a read, a library in C - stays behind. It is a daemon, so it does not keep
the process from ending. How many may be left behind is bounded; then the process must be replaced."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from loom_common.errors import WorkerWornOut
from loom_common.foreign_code.process_guard import end_process, foreign
from loom_common.logs.logger import log

T = TypeVar("T")
R = TypeVar("R")

LEAKED_THREADS = 8
"""The number of threads left behind, and still alive, until the process must be replaced."""


_ENDING_SECONDS = 0.25
"""Says how long a thread that was asked to end is waited for."""


class GivenUp(SystemExit):
    """Is raised in a thread that nobody waits for any more. What no thread catches of this kind ends it in silence."""


class _Walk(Generic[T, R]):
    """Represents one thread's way through a list of items."""

    def __init__(self, items: Sequence[T], work: Callable[[T], R]) -> None:
        self.results: list[R] = []
        self.error: BaseException | None = None
        self.began = time.monotonic()
        """Says when the item under way was begun."""
        self.given_up = False
        self.ended = asyncio.Event()
        self._items = items
        self._work = work
        self.loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self._marked,), daemon=True, name="loom-user-code")
        self.thread.start()

    def _marked(self) -> None:
        with foreign():
            self._go()

    def _go(self) -> None:
        process = os.getpid()
        try:
            for item in self._items:
                if self.given_up:
                    return
                self.began = time.monotonic()
                self.results.append(self._work(item))
                end_if_copied(process)
        except GivenUp:
            return
        except BaseException as error:  # noqa: BLE001 - raised where the walk is awaited
            self.error = error
        finally:
            end_if_copied(process)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(self.ended.set)

    async def overdue(self, seconds: float) -> int | None:
        """Wait for the end; the position of an item as soon as that one takes longer than `seconds`."""
        while not self.ended.is_set():
            # In this order: an item is begun before it is done, so an old beginning belongs to the item at `done`.
            done, began = len(self.results), self.began
            left = began + seconds - time.monotonic()
            if left <= 0 and len(self.results) == done:
                return done
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.001, left)):
                    await self.ended.wait()
        return None


class Threads:
    """Runs user code. One per process, because what it leaves behind weighs on the process."""

    def __init__(self, limit: int = LEAKED_THREADS) -> None:
        self._limit = limit
        self._left_behind: list[threading.Thread] = []

    @property
    def leaked(self) -> int:
        """Threads that were given up on and have not come back."""
        self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
        return len(self._left_behind)

    async def each(self, items: Sequence[T], work: Callable[[T], R], seconds: float, late: Callable[[T], R]) -> list[R]:
        """Return `work` of every item in order, in one thread; for an item that takes longer than `seconds`, what
        `late` makes of it, and another thread for the rest. Raises what `work` raises, and `WorkerWornOut`."""
        results: list[R] = []
        hung: list[T] = []
        while len(results) < len(items):
            if self.leaked >= self._limit:
                raise WorkerWornOut(
                    f"{self.leaked} threads of this process hang in user code that took longer than {seconds:g} s a "
                    "record, and cannot be ended. Mend the function, or see `timeouts.record`.",
                    hung,
                )
            walk = _Walk(items[len(results) :], work)
            try:
                overdue = await walk.overdue(seconds)
            except BaseException:
                # Nobody waits any more, but nothing is wrong with the item under way: it may take the time that it has.
                walk.given_up = True
                self._left_behind.append(walk.thread)
                walk.loop.call_later(seconds, _end, walk.thread)
                raise
            if walk.error is not None:
                raise walk.error
            results += walk.results[:overdue]
            if overdue is not None:
                walk.given_up = True
                await self.leave_behind(walk.thread)
                item = items[len(results)]
                log.warning("user code does not come back: its thread is given up on", leaked=self.leaked)
                hung.append(item)
                results.append(late(item))
        return results

    def see_that_it_goes_on(self) -> None:
        """Raises `WorkerWornOut` where too much was left behind."""
        if self.leaked >= self._limit:
            raise WorkerWornOut(
                f"{self.leaked} threads of this process hang in user code that did not come back in its time, and "
                "cannot be ended. Mend the function, or see `timeouts.record`."
            )

    async def leave_behind(self, thread: threading.Thread) -> None:
        """Give a thread up: it is asked to end, given a moment to do so, and counted until it has."""
        self._left_behind.append(thread)
        _end(thread)
        await asyncio.to_thread(thread.join, _ENDING_SECONDS)


def end_if_copied(process: int) -> None:
    """End this process where it is not `process` but a copy of it, which user code has made by a fork and come back in.
    A copy would do the work that is left a second time, and write to the connections of the original."""
    if os.getpid() != process:
        end_process(0)


def _end(thread: threading.Thread) -> None:
    """Raise `GivenUp` in the thread as soon as it computes something of Python's own."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(GivenUp))
