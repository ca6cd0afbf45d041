from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.pacing.bucket import SLACK_SECONDS, WINDOW_SECONDS, Rate, Wish
from loom_ai.pacing.buckets import MemoryBuckets
from support.clocks import ManualClock


async def moments(rate: Rate, arrivals: list[float], drift: list[float]) -> list[float]:
    """Tell when requests go that come one after the other, each late by its drift."""
    clock = ManualClock()
    buckets = MemoryBuckets(clock)
    gone = []
    for pause, late in zip(arrivals, drift, strict=True):
        clock.pass_time(pause)
        taken = await buckets.take("b", Wish(rate.interval, 0.0))
        gone.append(clock.monotonic() + taken.wait(rate, None, Wish(0.0, 0.0)) + late)
    return sorted(gone)


def most_in_a_window(gone: list[float]) -> int:
    return max(sum(1 for each in gone if begin <= each < begin + WINDOW_SECONDS) for begin in gone)


@given(
    per_minute=st.integers(1, 120),
    traffic=st.lists(st.tuples(st.floats(0, 40), st.floats(0, SLACK_SECONDS * 0.99)), min_size=1, max_size=250),
)
async def test_no_minute_sees_more_than_the_limit_however_requests_come(per_minute, traffic):
    arrivals, drift = zip(*traffic, strict=True)
    gone = await moments(Rate(per_minute), list(arrivals), list(drift))
    assert most_in_a_window(gone) <= per_minute


@pytest.mark.parametrize("per_minute", [60, 600, 3000])
async def test_a_limit_is_nearly_used_up(per_minute):
    gone = await moments(Rate(per_minute), [0.0] * 2 * per_minute, [0.0] * 2 * per_minute)
    assert per_minute * 0.93 <= most_in_a_window(gone) <= per_minute


async def test_a_pause_is_over_for_one_after_the_other():
    clock = ManualClock()
    buckets, rate = MemoryBuckets(clock), Rate(60)
    await buckets.pause("b", 30.0)
    await buckets.pause("b", 10.0)  # the longer one stands
    assert await buckets.paused("b") == 30.0
    waits = []
    for _ in range(4):
        taken = await buckets.take("b", Wish(rate.interval, 0.0))
        waits.append(taken.wait(rate, None, Wish(0.0, 0.0)))
    assert waits[:2] == [30.0, 30.0]  # the burst
    assert waits[2] < waits[3]


async def test_tokens_are_a_limit_of_their_own():
    buckets, tokens = MemoryBuckets(ManualClock()), Rate(60_000)
    first = await buckets.take("b", Wish(0.0, tokens.interval * 30_000))
    second = await buckets.take("b", Wish(0.0, tokens.interval * 100))
    assert first.wait(None, tokens, Wish(0.0, 0.0)) == 0.0
    assert 28 < second.wait(None, tokens, Wish(0.0, 0.0)) < 31
