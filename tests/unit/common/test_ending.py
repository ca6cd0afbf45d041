"""A process whose work has failed ends, though something hangs on its way out."""

from __future__ import annotations

import asyncio

import pytest

from loom_common.service.exit_watchdog import ExitWatchdog, NoExitWatchdog
from loom_dev.waiting import within


async def fail() -> None:
    raise ValueError("cannot go on")


async def until(condition) -> None:
    async with within(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_hangs_after_a_failure_is_cut_off_with_exit_code_1():
    codes: list[int] = []
    with pytest.raises(ValueError, match="cannot go on"):
        await ExitWatchdog(0.01, codes.append).watched(fail())
    await until(lambda: codes == [1])


async def test_what_ends_in_time_is_not_cut_off():
    codes: list[int] = []
    ending, later = ExitWatchdog(0.1, codes.append), ExitWatchdog(0.2, codes.append)
    ending.begin()
    ending.ended()
    later.begin()
    await until(lambda: codes)
    assert codes == [1]


async def test_being_told_to_stop_is_no_failure():
    codes: list[int] = []
    working = asyncio.create_task(ExitWatchdog(0.0, codes.append).watched(asyncio.Event().wait()))
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    later = ExitWatchdog(0.05, lambda _: codes.append(7))
    later.begin()
    await until(lambda: codes)
    assert codes == [7]


async def test_an_embedded_engine_is_never_cut_off():
    with pytest.raises(ValueError, match="cannot go on"):
        await NoExitWatchdog(0.0, pytest.fail).watched(fail())
