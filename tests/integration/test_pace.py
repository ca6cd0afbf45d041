"""Tests rate limits that all workers share, and what happens when their store is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from loom_ai.pacing.bucket import Rate
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.settings import ModelSettings
from loom_ai.stores.beside_journal import open_buckets
from loom_common.domain.model_options.providers import RateLimit
from loom_dev.waiting import within
from support import limited_process
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel

LIMIT = 600
SECONDS = 2.0


@pytest.fixture
async def server():
    async with SimulatedModel() as server:
        yield server


def client_at(url: str, **settings) -> HttpModelClient:
    return HttpModelClient(ModelSettings(**settings), buckets=open_buckets(url))


async def ask_for(client: HttpModelClient, server: SimulatedModel, seconds: float, **changes) -> int:
    """Ask as much as may be asked; gives how many were answered."""
    limit = RateLimit(requests_per_minute=LIMIT)
    end, answered = time.monotonic() + seconds, 0

    async def worker() -> None:
        nonlocal answered
        while time.monotonic() < end:
            await client.complete(call_of(base_url=server.base_url, **{"rate_limit": limit, **changes}))
            answered += 1

    await asyncio.gather(*(worker() for _ in range(8)))
    return answered


def most_in(seconds: float) -> float:
    """Return what a limit of `LIMIT` a minute allows in so much time; a minute's worth in a minute."""
    rate = Rate(LIMIT)
    return rate.burst + (seconds + 1) / rate.interval


async def test_two_workers_keep_to_one_limit_together(server, redis_url):
    command = [sys.executable, limited_process.__file__, server.base_url, redis_url, str(LIMIT), str(SECONDS)]
    began = time.monotonic()
    workers = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(2)]
    counts = [int((await worker.communicate())[0]) for worker in workers]
    took = time.monotonic() - began
    assert all(counts)
    assert sum(counts) == server.calls
    assert server.calls <= most_in(took)
    assert server.calls >= 0.8 * Rate(LIMIT).burst + 0.5 * SECONDS / Rate(LIMIT).interval


async def test_a_pause_that_one_worker_is_asked_for_is_everyones(server, redis_url):
    server.retry_after = 1.5
    one, other = client_at(redis_url), client_at(redis_url)
    await other.complete(call_of(base_url=server.base_url))
    server.faults.append("429")
    asked = time.monotonic()  # before the pause begins: on a busy machine, time passes until it is seen
    pausing = asyncio.create_task(one.complete(call_of(base_url=server.base_url)))
    async with within(30, "the second call"):
        while server.calls < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(1.05)  # another worker looks once a second
    await other.complete(call_of(base_url=server.base_url))
    assert time.monotonic() - asked > 1.4
    await pausing
    await one.close()
    await other.close()


async def test_losing_the_store_of_limits_makes_them_per_process_and_fails_nothing(server, own_redis, capsys):
    client = client_at(own_redis.url)
    assert await ask_for(client, server, 0.2)
    own_redis.kill()
    before, began = server.calls, time.monotonic()
    assert await ask_for(client, server, 1.5)
    assert server.calls - before <= most_in(time.monotonic() - began)
    assert capsys.readouterr().out.count("limits are kept per process") == 1
    await client.close()


async def test_tokens_are_limited_too(server):
    server.tokens_per_answer = 1000
    client = HttpModelClient(ModelSettings())
    limit = RateLimit(tokens_per_minute=600_000)
    began = time.monotonic()
    assert await ask_for(client, server, 3.0, rate_limit=limit)
    rate = Rate(600_000)
    # The first calls are taken for shorter than they are; later ones make up for it.
    assert server.tokens_out <= rate.burst + (time.monotonic() - began) / rate.interval + 8 * 2000
    await client.close()


async def test_the_headers_of_an_answer_are_heeded(server):
    client = HttpModelClient(ModelSettings())
    server.headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "800ms"}
    await client.complete(call_of(base_url=server.base_url))
    server.headers = {}
    began = time.monotonic()
    await client.complete(call_of(base_url=server.base_url))
    assert time.monotonic() - began > 0.7
    await client.close()
