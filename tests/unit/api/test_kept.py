"""Tests how long what was fetched from an OpenID provider is kept, and how often it is asked."""

import asyncio

import pytest

from loom_api.oidc.kept import FAILED_SECONDS, FRESH_SECONDS, PAUSE_SECONDS, STALE_SECONDS, Kept
from loom_common.errors import DependencyUnavailable


class Upstream:
    """Counts how often it is asked, and fails while it is away."""

    def __init__(self):
        self.now = 0.0
        self.asked = 0
        self.away = False
        self.kept = Kept(self.fetch, lambda: self.now)

    async def fetch(self):
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise DependencyUnavailable("It is away.")
        return self.asked


async def test_those_who_ask_at_once_share_one_fetch_and_what_it_gave_is_used_for_an_hour():
    upstream = Upstream()
    assert await asyncio.gather(*(upstream.kept.get() for _ in range(20))) == [1] * 20
    upstream.now = FRESH_SECONDS - 1
    assert await upstream.kept.get() == 1
    upstream.now = FRESH_SECONDS
    assert await upstream.kept.get() == 2


async def test_however_often_something_new_is_asked_for_it_is_fetched_now_and_then():
    upstream = Upstream()
    for second in range(100):
        upstream.now = second
        await upstream.kept.get(anew=True)
    assert upstream.asked == 1 + 99 // PAUSE_SECONDS


async def test_while_it_is_away_what_was_fetched_before_is_used_for_a_day():
    upstream = Upstream()
    await upstream.kept.get()
    upstream.away = True
    for second in range(int(FRESH_SECONDS), int(FRESH_SECONDS) + 100):
        upstream.now = second
        assert await upstream.kept.get() == 1
    assert upstream.asked == 1 + 4
    upstream.now = STALE_SECONDS
    with pytest.raises(DependencyUnavailable):
        await upstream.kept.get()


async def test_what_was_never_fetched_is_tried_again_soon_but_not_for_each_who_asks():
    upstream = Upstream()
    upstream.away = True
    for _ in range(10):
        with pytest.raises(DependencyUnavailable):
            await upstream.kept.get()
    assert upstream.asked == 1
    upstream.away, upstream.now = False, FAILED_SECONDS
    assert await upstream.kept.get() == 2
