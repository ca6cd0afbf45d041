"""Calls through a breaker: what is let through, what waits, what is told."""

from __future__ import annotations

import asyncio

import pytest

from loom_common.domain.run.breaker import Policy, State
from loom_common.errors import (
    BreakerOpen,
    Conflict,
    DependencyUnavailable,
    NeverReached,
    PermanentError,
    RateLimited,
    RecordError,
    Timeout,
    UpstreamTroubled,
)
from loom_common.resilience.breakers import PATIENCE_SECONDS, Breakers
from support.clocks import ManualClock

POLICY = Policy(failures=2, open_seconds=60.0, successes=2)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def breakers(clock):
    return Breakers(POLICY, clock)


async def call(breakers: Breakers, error: Exception | None = None, upstream: str = "model m") -> None:
    async with breakers.guarding(upstream):
        if error is not None:
            raise error


async def opened(breakers: Breakers) -> None:
    for expected in (DependencyUnavailable, BreakerOpen):
        with pytest.raises(expected):
            await call(breakers, DependencyUnavailable("gone"))


async def test_the_failure_that_opens_it_is_told_as_an_open_breaker(breakers):
    with pytest.raises(DependencyUnavailable) as first:
        await call(breakers, DependencyUnavailable("gone"))
    assert not isinstance(first.value, BreakerOpen)
    with pytest.raises(BreakerOpen) as second:
        await call(breakers, DependencyUnavailable("gone for good"))
    assert (second.value.upstream, second.value.probe_in, second.value.opening) == ("model m", 60.0, 1)
    assert (second.value.reason, str(second.value.__cause__)) == ("gone for good", "gone for good")
    with pytest.raises(BreakerOpen) as third:
        await call(breakers)
    assert third.value.reason == "gone for good"


async def test_while_it_is_open_nobody_calls(breakers, clock):
    await opened(breakers)
    clock.pass_time(18)
    with pytest.raises(BreakerOpen, match=r"model m is away\. It is tried again in 42 s\."):
        await call(breakers, AssertionError("must not be called"))


async def test_other_upstreams_are_called(breakers):
    await opened(breakers)
    await call(breakers, upstream="model n")


@pytest.mark.parametrize(
    "error",
    [RecordError("bad", code="bad"), PermanentError("no such model"), RateLimited("slow"), Conflict("deadlock")],
)
async def test_an_upstream_that_answers_is_there_whatever_it_says(breakers, error):
    for _ in range(3):
        with pytest.raises(type(error)):
            await call(breakers, error)
    await call(breakers)


async def test_callers_queue_up_behind_the_probe_and_go_on_when_it_closes(breakers, clock):
    await opened(breakers)
    clock.pass_time(60)
    answered, at_once = asyncio.Event(), []

    async def slow() -> None:
        async with breakers.guarding("model m"):
            at_once.append(len(at_once))
            await answered.wait()

    callers = [asyncio.create_task(slow()) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert at_once == [0]
    answered.set()
    await asyncio.gather(*callers)
    assert breakers.snapshot()[0].state is State.CLOSED


async def test_callers_behind_a_probe_that_fails_are_told(breakers, clock):
    await opened(breakers)
    clock.pass_time(60)
    fail = asyncio.Event()

    async def probe() -> None:
        async with breakers.guarding("model m"):
            await fail.wait()
            raise DependencyUnavailable("still gone")

    callers = [asyncio.create_task(probe()) for _ in range(3)]
    await asyncio.sleep(0)
    fail.set()
    ends = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(end, BreakerOpen) and end.opening == 2 for end in ends)


async def test_nobody_queues_up_behind_a_probe_that_takes_long(breakers, clock):
    await opened(breakers)
    clock.pass_time(60)
    answered = asyncio.Event()

    async def probe() -> None:
        async with breakers.guarding("model m"):
            await answered.wait()

    probing = asyncio.create_task(probe())
    await asyncio.sleep(0)
    clock.pass_time(PATIENCE_SECONDS)
    with pytest.raises(BreakerOpen):
        await call(breakers, AssertionError("must not be called"))
    answered.set()
    await probing
    await call(breakers)


async def test_a_cancelled_probe_leaves_its_place_to_the_next(breakers, clock):
    await opened(breakers)
    clock.pass_time(60)

    async def hang() -> None:
        async with breakers.guarding("model m"):
            await asyncio.Event().wait()

    probe = asyncio.create_task(hang())
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    await call(breakers)
    await call(breakers)
    assert breakers.snapshot()[0].state is State.CLOSED


async def test_the_snapshot_tells_how_each_stands(breakers, clock):
    await call(breakers, upstream="model n")
    await opened(breakers)
    clock.pass_time(20)
    told = {each.upstream: (each.state, each.openings, each.probe_in) for each in breakers.snapshot()}
    assert told == {"model n": (State.CLOSED, 0, 0.0), "model m": (State.OPEN, 1, 40.0)}


@pytest.mark.parametrize("trouble", [UpstreamTroubled("HTTP 500"), Timeout("late")])
async def test_one_question_that_fails_again_and_again_is_not_many(breakers, trouble):
    async def ask(question: str) -> None:
        async with breakers.guarding("model m", lambda: question):
            raise trouble

    for _ in range(5):
        with pytest.raises(type(trouble)) as raised:
            await ask("odd")
        assert not isinstance(raised.value, BreakerOpen)
    with pytest.raises(BreakerOpen):
        await ask("another")


async def test_a_probe_counts_whatever_it_asks(breakers, clock):
    async def ask(question: str) -> None:
        async with breakers.guarding("model m", lambda: question):
            raise UpstreamTroubled("HTTP 500")

    for question in ("a", "b"):
        with pytest.raises(DependencyUnavailable):
            await ask(question)
    clock.pass_time(60)
    with pytest.raises(BreakerOpen):
        await ask("a")


async def test_an_upstream_that_is_not_reached_counts_each_time(breakers):
    for expected in (DependencyUnavailable, BreakerOpen):
        with pytest.raises(expected):
            async with breakers.guarding("model m", lambda: "same"):
                raise DependencyUnavailable("gone")


@pytest.fixture
def seeking(clock):
    return Breakers(POLICY, clock, seek_seconds=9.0)


async def test_what_was_never_there_is_tried_for_a_while_and_then_given_up_with_the_cause(seeking, clock):
    for _ in range(3):
        with pytest.raises(BreakerOpen) as away:
            await call(seeking, DependencyUnavailable("connection refused."))
        assert (type(away.value), away.value.probe_in) == (BreakerOpen, 3.0)
        await clock.sleep(3)
    with pytest.raises(NeverReached, match=r"connection refused\. It was tried for 9 s and was never there") as gone:
        await call(seeking, DependencyUnavailable("connection refused."))
    assert "--wait" in str(gone.value)
    with pytest.raises(BreakerOpen) as anew:  # another run tries it anew
        await call(seeking, DependencyUnavailable("connection refused."))
    assert type(anew.value) is BreakerOpen


@pytest.mark.parametrize(
    "answer", [None, RateLimited("slow down"), Conflict("deadlock"), RecordError("no", code="no"), Timeout("late")]
)
async def test_what_was_there_once_is_waited_for_as_long_as_it_takes(seeking, clock, answer):
    await asyncio.gather(call(seeking, answer), return_exceptions=True)
    for _ in range(5):
        with pytest.raises(DependencyUnavailable) as away:
            await call(seeking, DependencyUnavailable("gone"))
        assert type(away.value) is not NeverReached
        await clock.sleep(61)


async def test_without_a_limit_what_was_never_there_is_waited_for(breakers, clock):
    for _ in range(20):
        with pytest.raises(DependencyUnavailable) as away:
            await call(breakers, DependencyUnavailable("gone"))
        assert type(away.value) is not NeverReached
        await clock.sleep(30)
