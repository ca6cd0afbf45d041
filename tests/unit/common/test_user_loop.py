"""Tests the user's asynchronous code on a loop of its own."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from loom_common.errors import WorkerWornOut
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.threads import Threads
from loom_dev.waiting import patience, within

SECONDS = 0.3
AMPLE = 30.0


async def test_it_gives_what_the_function_gives_and_raises_what_it_raises():
    loop = UserLoop()

    async def fine() -> int:
        await asyncio.sleep(0)
        return 7

    async def wrong(error: BaseException) -> int:
        await asyncio.sleep(0)
        raise error

    assert await loop.run(fine, AMPLE) == 7
    raised = ((ValueError("x"), ValueError, "x"), (SystemExit(3), RuntimeError, "SystemExit: 3"))
    for error, kind, words in (*raised, (asyncio.CancelledError(), RuntimeError, "cancelled itself")):
        with pytest.raises(kind, match=words):
            await loop.run(lambda error=error: wrong(error), AMPLE)
    assert await loop.run(fine, AMPLE) == 7
    await loop.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_copy_of_the_process_that_the_function_makes_does_not_go_on_with_it(tmp_path):
    done = tmp_path / "done"
    loop = UserLoop()

    def fork() -> None:
        if child := os.fork():
            os.waitpid(child, 0)

    async def forks() -> int:
        fork()
        await asyncio.sleep(0)
        with done.open("a") as file:
            file.write("1\n")
        return 7

    assert await loop.run(forks, AMPLE) == 7
    assert done.read_text() == "1\n"
    await loop.close()


async def test_code_that_cancels_every_task_of_its_loop_is_not_begun_again_without_end():
    loop = UserLoop()
    begun = 0

    async def cancels() -> int:
        nonlocal begun
        begun += 1
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(0)
        return 7

    async with within(AMPLE):
        with pytest.raises(RuntimeError, match="cancelled by code that runs on the same event loop"):
            await loop.run(cancels, AMPLE)
    assert begun == 1
    await loop.close()


async def test_all_run_on_the_same_loop_so_that_connections_can_be_kept():
    loop = UserLoop()

    async def which() -> int:
        return id(asyncio.get_running_loop())

    assert await loop.run(which, AMPLE) == await loop.run(which, AMPLE) != id(asyncio.get_running_loop())
    await loop.close()


async def test_what_waits_too_long_is_late_and_cancelled():
    loop, cancelled = UserLoop(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def wait() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            here.call_soon_threadsafe(cancelled.set)

    with pytest.raises(TimeoutError):
        await loop.run(wait, SECONDS)
    async with within(5):
        await cancelled.wait()
    assert not loop.replaced()
    await loop.close()


async def hold() -> str:
    await asyncio.sleep(0)
    while True:
        pass


async def test_code_that_holds_the_loop_is_late_alone_and_its_neighbours_begin_again():
    loop = UserLoop()

    async def neighbour() -> str:
        await asyncio.sleep(SECONDS / 3)
        return "done"

    held = asyncio.create_task(loop.run(hold, SECONDS))
    others = [asyncio.create_task(loop.run(neighbour, AMPLE)) for _ in range(5)]
    with pytest.raises(TimeoutError):
        await held
    assert await asyncio.gather(*others) == ["done"] * 5
    await loop.close()


async def test_neighbours_whose_time_is_over_with_that_of_who_held_the_loop_begin_again():
    loop = UserLoop()

    async def one(number: int) -> int:
        await asyncio.sleep(0)
        return await hold() if number == 7 else number

    async def tried(number: int) -> int | None:
        try:
            return await loop.run(lambda: one(number), SECONDS)
        except TimeoutError:
            return None

    assert await asyncio.gather(*map(tried, range(12))) == [None if n == 7 else n for n in range(12)]
    await loop.close()


async def test_code_that_holds_the_loop_after_nobody_waits_for_it_is_given_up_on_when_its_time_is_over():
    loop = UserLoop()

    async def neighbour() -> str:
        return "done"

    abandoned = asyncio.create_task(loop.run(hold, SECONDS))
    await asyncio.sleep(SECONDS / 3)
    abandoned.cancel()
    await asyncio.gather(abandoned, return_exceptions=True)
    async with asyncio.timeout(AMPLE):
        assert await loop.run(neighbour, AMPLE) == "done"
    await loop.close()


async def test_a_loop_that_cannot_be_ended_wears_the_process_out():
    loop = UserLoop(Threads(limit=1))

    async def sleep() -> None:
        time.sleep(20)  # noqa: ASYNC251 - what a loop must not be held by

    with pytest.raises(TimeoutError):
        await loop.run(sleep, SECONDS)
    with pytest.raises(WorkerWornOut):
        await loop.run(sleep, SECONDS)


async def test_a_loop_that_is_held_is_left_behind_when_it_is_closed():
    loop = UserLoop()
    task = asyncio.create_task(loop.run(hold, AMPLE))
    await asyncio.sleep(0)
    began = time.monotonic()
    await loop.close()
    assert time.monotonic() - began < patience(10.0)
    with pytest.raises(TimeoutError):
        await task


async def test_code_that_waits_when_its_loop_is_closed_is_late_and_not_accused_of_cancelling():
    loop, waits = UserLoop(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def wait() -> None:
        here.call_soon_threadsafe(waits.set)
        await asyncio.sleep(1000)

    task = asyncio.create_task(loop.run(wait, AMPLE))
    async with within(5):
        await waits.wait()
    await loop.close()
    with pytest.raises(TimeoutError):
        await task


async def test_code_that_computes_on_when_its_loop_is_closed_does_not_compute_for_ever():
    loop, thread = UserLoop(), asyncio.get_running_loop().create_future()
    here = asyncio.get_running_loop()

    async def hold_when_cancelled() -> None:
        here.call_soon_threadsafe(thread.set_result, threading.current_thread())
        try:
            await asyncio.sleep(1000)
        finally:
            await hold()

    task = asyncio.create_task(loop.run(hold_when_cancelled, AMPLE))
    its_thread = await thread
    await loop.close()
    async with within(5):
        while its_thread.is_alive():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_code_that_stops_its_loop_or_ends_it_from_a_callback_ends_nothing():
    loop = UserLoop()

    def leave() -> None:
        raise SystemExit(3)

    async def stops() -> int:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
        return 1

    async def exits() -> int:
        asyncio.get_running_loop().call_soon(leave)
        await asyncio.sleep(0)
        return 2

    async def fine() -> int:
        await asyncio.sleep(0)
        return 3

    async with within(AMPLE):
        found = await asyncio.gather(*(loop.run(each, AMPLE) for each in (stops, exits, fine, fine)))
        assert found == [1, 2, 3, 3]
        assert await loop.run(fine, AMPLE) == 3
        await loop.close()
