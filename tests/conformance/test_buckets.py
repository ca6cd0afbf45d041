"""What every store of rate limits must do."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from loom_ai.pacing.bucket import Rate, Wish
from loom_ai.pacing.buckets import Buckets, MemoryBuckets
from loom_ai.stores.beside_journal import open_buckets
from loom_dev.waiting import within
from support.journal_tables import stored

ONE = Wish(requests=1.0, tokens=0.25)


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def address(request, tmp_path):
    async with stored(request, tmp_path) as url:
        yield url


@pytest.fixture
async def places(address):
    """Provide two workers' views of the same buckets."""
    one = open_buckets(address) or MemoryBuckets()
    other = open_buckets(address) or one
    yield one, other
    await one.close()
    await other.close()


@pytest.fixture
def buckets(places) -> Buckets:
    return places[0]


async def test_a_new_bucket_is_free_now(buckets):
    taken = await buckets.take("b", ONE)
    assert taken.requests_from == pytest.approx(taken.now, abs=0.05)
    assert taken.tokens_from == pytest.approx(taken.now, abs=0.05)
    assert taken.paused_until <= taken.now


async def test_what_was_taken_is_not_free_any_more(buckets):
    first = await buckets.take("b", ONE)
    second = await buckets.take("b", ONE)
    assert second.requests_from - first.requests_from == pytest.approx(1.0, abs=0.001)
    assert second.tokens_from - first.tokens_from < 0.25 + 0.5


async def test_buckets_are_apart(buckets):
    await buckets.take("b", Wish(100.0, 100.0))
    taken = await buckets.take("c", ONE)
    assert taken.requests_from == pytest.approx(taken.now, abs=0.05)


async def test_no_moment_is_given_to_two_workers(places):
    rate = Rate(60_000)
    wish = Wish(rate.interval * 100, 0.0)
    taken = await asyncio.gather(*(place.take("b", wish) for place in places for _ in range(20)))
    moments = sorted(each.requests_from for each in taken)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) >= wish.requests - 1e-4


async def test_a_pause_is_every_workers_and_the_longer_one_stands(places):
    one, other = places
    assert await other.paused("b") == 0
    await one.pause("b", 30.0)
    await one.pause("b", 5.0)
    assert 28 < await other.paused("b") <= 30
    taken = await other.take("b", ONE)
    assert 28 < taken.requests_from - taken.now <= 30
    assert taken.requests_from == pytest.approx(taken.paused_until, abs=0.001)
    assert await other.paused("c") == 0


async def test_a_pause_ends_by_itself(buckets):
    await buckets.pause("b", 0.05)
    async with within(5):
        while await buckets.paused("b"):
            await asyncio.sleep(0.01)
