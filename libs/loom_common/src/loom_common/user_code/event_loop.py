"""Runs the user's asynchronous code on an event loop of its own, in a thread that can be given up on.

A coroutine that computes instead of waiting holds its loop, and with it everything that runs there. On Loom's own loop
that would be every message, every limit of time and Ctrl-C. Here it is other records of the same function, until its
time is over: then the loop is left behind, its record is late, and the others begin again on another loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

from loom_common.foreign_code.process_guard import foreign
from loom_common.text import named
from loom_common.user_code.threads import GivenUp, Threads, end_if_copied

T = TypeVar("T")

_ANSWER_SECONDS = 1.0
"""How long a loop may take to answer before it counts as held."""


class _LeftBehind(Exception):
    """The loop was given up on for what another piece of code did to it."""


class UserLoop:
    """Runs asynchronous functions of the user's. What they keep open stays with the loop, which is replaced only when
    it is held for longer than its code may take."""

    def __init__(self, threads: Threads | None = None) -> None:
        self._threads = threads or Threads()
        self._loop: _LoopThread | None = None

    async def run(self, function: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Run `function()` and return what it gives. Raises `TimeoutError` after `seconds` and when the loop is closed,
        what the function raises - `RuntimeError` for `SystemExit` and its like - and `WorkerWornOut`."""
        while True:
            try:
                return await self._held().run(function, seconds)
            except _LeftBehind:
                if self._loop is None:  # it was closed
                    raise TimeoutError from None

    def replaced(self) -> bool:
        """Tell whether the next function runs on another loop than the last one did."""
        return self._loop is None or self._loop.given_up.done()

    async def close(self) -> None:
        """End the loop; one that is held is left behind."""
        loop, self._loop = self._loop, None  # at once, so that what is left behind does not begin again on another loop
        if loop is not None and not loop.given_up.done():
            await loop.close()

    def _held(self) -> _LoopThread:
        if self._loop is None or self._loop.given_up.done():
            self._threads.see_that_it_goes_on()
            self._loop = _LoopThread(self._threads)
        return self._loop


class _LoopThread:
    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._loop = asyncio.new_event_loop()
        self.given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.busy: object | None = None
        """Says whose code is being computed this instant."""
        self._unawaited: set[asyncio.Task[None]] = set()
        """One for each piece of code that nobody waits for any more, and whose time is not over."""
        self._closing = False
        self._thread = threading.Thread(target=self._go, daemon=True, name="loom-user-loop")
        self._thread.start()

    def _go(self) -> None:
        # The thread is given up on, or its loop closed: nobody waits any more.
        with foreign(), contextlib.suppress(BaseException):
            asyncio.set_event_loop(self._loop)
            try:
                self._run()
                left = asyncio.all_tasks(self._loop)
                for task in left:
                    task.cancel()
                self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            finally:
                self._loop.close()

    def _run(self) -> None:
        """Run the loop until Loom stops it. Code that stops it, or raises `SystemExit` in a callback or a task of its
        own, ends nothing: the loop goes on where it was."""
        while not self._closing and not self._loop.is_closed():
            try:
                self._loop.run_forever()
            except GivenUp:
                raise
            except BaseException:  # noqa: BLE001, S112 - it went to a callback that nobody waits for
                continue

    async def run(self, function: Callable[[], Awaitable[T]], seconds: float) -> T:
        mine, began = object(), time.monotonic()
        code = self._caught(mine, function)
        future = asyncio.run_coroutine_threadsafe(code, self._loop)
        ended = asyncio.wrap_future(future)
        try:
            either: set[asyncio.Future[Any]] = {ended, self.given_up}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and not self.given_up.done():
                future.cancel()
                await self._see_who_holds(mine)
                raise TimeoutError
        except asyncio.CancelledError:
            future.cancel()
            self._end_in_time(mine, began + seconds)
            raise
        finally:
            ended.cancel()
        if not self.given_up.done() and not future.cancelled():
            value, error = future.result()
            if isinstance(error, Exception):
                raise error
            if error is not None:
                raise RuntimeError(named(error))
            return cast("T", value)
        if inspect.getcoroutinestate(code) == inspect.CORO_CREATED:
            code.close()  # the loop never came to it
        elif not self._closing and not self.given_up.done():  # begun again, it would be cancelled again
            raise RuntimeError("its task was cancelled by code that runs on the same event loop")
        raise _LeftBehind

    async def _caught(
        self, whose: object, function: Callable[[], Awaitable[T]]
    ) -> tuple[T | None, BaseException | None]:
        """Return what the function gives or raises. `SystemExit` and its like would end the loop."""
        try:
            return await _Tracked(self, whose, _call(function)), None
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None, RuntimeError(f"the code cancelled itself ({cancelled})")
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            return None, error

    def _end_in_time(self, mine: object, until: float) -> None:
        """Let code that nobody waits for any more compute until its time is over, because nothing is wrong with it. The
        loop is given up on where the code holds it still."""

        async def watch() -> None:
            await asyncio.sleep(until - time.monotonic())
            if self.busy is mine and not await self._answers():
                await self._give_up()

        task = asyncio.create_task(watch(), name="watch of abandoned code")
        self._unawaited.add(task)
        task.add_done_callback(self._unawaited.discard)

    async def close(self) -> None:
        self._closing = True
        for task in self._unawaited:
            task.cancel()
        if await self._answers():
            self._loop.call_soon_threadsafe(self._loop.stop)
            await asyncio.to_thread(self._thread.join, _ANSWER_SECONDS)
        if self._thread.is_alive():  # it is held, perhaps by code that does not end when cancelled
            await self._give_up()

    async def _see_who_holds(self, mine: object) -> None:
        """Return when the loop is free, or given up on. Raises `_LeftBehind` where another's code held it."""
        while True:
            answers = await self._answers()
            if self.given_up.done():
                raise _LeftBehind
            if answers:
                return
            if self.busy is mine or self.busy is None:
                await self._give_up()
                return

    async def _answers(self) -> bool:
        answered = asyncio.Event()
        here = asyncio.get_running_loop()
        try:
            self._loop.call_soon_threadsafe(here.call_soon_threadsafe, answered.set)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await answered.wait()
        except (TimeoutError, RuntimeError):  # it is held, or closed
            return False
        return True

    async def _give_up(self) -> None:
        if not self.given_up.done():
            self.given_up.set_result(None)
            with contextlib.suppress(RuntimeError):  # it has just been closed
                self._loop.call_soon_threadsafe(self._loop.stop)
            await self._threads.leave_behind(self._thread)


class _Tracked:
    """Wraps a coroutine and tells whose code is computed, between one wait and the next."""

    def __init__(self, thread: _LoopThread, whose: object, coroutine: Any) -> None:
        self._thread = thread
        self._whose = whose
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        proceed, value = self._coroutine.send, None
        process = os.getpid()
        while True:
            self._thread.busy = self._whose
            try:
                waited_for = proceed(value)
            except StopIteration as end:
                return end.value
            finally:
                self._thread.busy = None
                end_if_copied(process)
            try:
                value = yield waited_for
                proceed = self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine
                proceed, value = self._coroutine.throw, error


async def _call(function: Callable[[], Awaitable[T]]) -> T:
    return await function()
