"""Tests the user's synchronous code in threads that can be given up on."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from loom_common.errors import WorkerWornOut
from loom_common.user_code.threads import Threads
from loom_dev.waiting import within

SECONDS = 0.15


@pytest.fixture
def release():
    """Lets everything that hangs come back, so that no thread outlives its test for long."""
    event = threading.Event()
    yield event
    event.set()


def hanging_on(wanted: set[int], release: threading.Event):
    def work(item: int) -> int:
        if item in wanted:
            release.wait()
        return item * 10

    return work


async def test_every_item_is_worked_on_in_order():
    assert await Threads().each(range(1000), lambda item: item * 2, 60.0, late=lambda _: -1) == [
        item * 2 for item in range(1000)
    ]


async def test_nothing_to_do_takes_no_thread():
    assert await Threads(limit=0).each([], lambda item: item, 60.0, late=lambda _: -1) == []


async def test_only_the_item_that_hangs_is_late(release):
    threads = Threads()
    found = await threads.each(range(5), hanging_on({2}, release), SECONDS, late=lambda item: -item)
    assert found == [0, 10, -2, 30, 40]
    assert threads.leaked == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
async def test_a_copy_of_the_process_that_the_work_makes_does_not_go_on_with_it(tmp_path):
    done = tmp_path / "done"

    def work(item: int) -> int:
        child = os.fork() if item == 1 else 0
        if child:
            os.waitpid(child, 0)
        with done.open("a") as file:
            file.write(f"{item}\n")
        return item

    assert await Threads().each([0, 1, 2], work, 60.0, late=lambda _: -1) == [0, 1, 2]
    assert sorted(done.read_text().split()) == ["0", "1", "1", "2"]


async def test_first_and_last_may_hang(release):
    found = await Threads().each(range(3), hanging_on({0, 2}, release), SECONDS, late=lambda item: f"late {item}")
    assert found == ["late 0", 10, "late 2"]


async def test_many_quick_items_may_take_longer_than_one_may():
    found = await Threads().each(range(10), lambda item: time.sleep(SECONDS / 4) or item, SECONDS, late=lambda _: -1)
    assert found == list(range(10))


async def test_what_the_work_raises_is_raised():
    def work(item: int) -> int:
        raise LookupError(f"item {item}")

    with pytest.raises(LookupError, match="item 7"):
        await Threads().each([7, 8], work, 60.0, late=lambda _: -1)


async def test_a_thread_that_comes_back_after_all_is_not_counted_and_does_no_more(release):
    threads, done = Threads(), []
    work = hanging_on({0}, release)
    await threads.each(range(3), lambda item: done.append(work(item)), SECONDS, late=lambda _: None)
    release.set()
    async with within(5):
        while threads.leaked:
            await asyncio.sleep(0.01)
    assert sorted(done) == [10, 20]


async def test_too_many_that_hang_wear_the_process_out(release):
    threads = Threads(limit=2)
    with pytest.raises(WorkerWornOut, match="2 threads of this process hang") as worn:
        await threads.each(range(5), hanging_on({1, 2, 4}, release), SECONDS, late=lambda _: -1)
    assert worn.value.hung == (1, 2)
    with pytest.raises(WorkerWornOut):
        await threads.each([7], lambda item: item, SECONDS, late=lambda _: -1)


async def test_work_that_is_cancelled_stops_after_the_item_in_flight(release):
    threads, done = Threads(), []
    work = hanging_on({1}, release)
    task = asyncio.create_task(threads.each(range(5), lambda item: done.append(work(item)), 60.0, late=lambda _: None))
    async with within(5):
        while not done:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    release.set()
    async with within(5):
        while threads.leaked:
            await asyncio.sleep(0.01)
    assert done == [0, 10]


def endlessly(_: int) -> int:
    while True:
        pass


async def test_a_loop_of_python_code_ends_when_it_is_given_up_on():
    threads = Threads(limit=1)
    for _ in range(3):
        assert await threads.each([1, 2], endlessly, SECONDS, late=lambda item: -item) == [-1, -2]
    async with within(10):
        while threads.leaked:
            await asyncio.sleep(0.01)
