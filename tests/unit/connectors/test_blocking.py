"""Tests coroutines that wait for nothing, run without an event loop."""

from __future__ import annotations

import asyncio

import pytest

from loom_connectors.sql.threads.blocking import finished


async def nothing_to_wait_for(value: int) -> int:
    if value < 0:
        raise ValueError("negative")
    return value + 1


async def something_to_wait_for() -> None:
    await asyncio.sleep(0)


def test_it_returns_what_the_coroutine_returns():
    assert finished(nothing_to_wait_for(1)) == 2


def test_it_raises_what_the_coroutine_raises():
    with pytest.raises(ValueError, match="negative"):
        finished(nothing_to_wait_for(-1))


def test_a_coroutine_that_waits_is_a_defect():
    with pytest.raises(RuntimeError, match=r"something_to_wait_for .* waits for an event loop"):
        finished(something_to_wait_for())
