"""Tests that a stream on a cluster goes on at a place that a request names, whatever is killed meanwhile, and that each
record is loaded once."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.errors import ConfigurationError
from loom_common.resilience.failpoints import VARIABLE
from loom_coordinator.queries.audit.books import books
from loom_coordinator.queries.audit.rules import differences
from loom_dev.waiting import within
from loom_migrations.engine import open_engine
from support.clients import request_of
from support.cluster_streams import ids_in, named, streaming, until_loaded
from support.redis_streams import entries, streams_at
from support.streamed import Following, ids


async def dies(cluster, name):
    """Wait until a service has died at its failpoint, and start it again."""
    async with within(60):
        while name not in cluster.ended():
            await asyncio.sleep(0.02)
    await cluster.serve()


async def began(cluster, stream):
    return await cluster.rows(
        "SELECT stream_window, known, began_at->>'place' AS place FROM pipeline_runs "
        "WHERE stream = $1 AND began_at IS NOT NULL ORDER BY stream_window",
        stream,
    )


async def until_known(cluster, stream, moves, count):
    """Wait until so many moves are made, and what had been taken before the last of them was left out after it."""
    async with within(60):
        while len(moved := await began(cluster, stream)) < moves or moved[-1]["known"] < count:
            await asyncio.sleep(0.05)


async def wrong_books(cluster, stream):
    runs = await cluster.rows("SELECT run_id FROM pipeline_runs WHERE stream = $1", stream)
    engine = open_engine(cluster.state_url, reads=True, pool_size=1)
    try:
        async with engine.connect() as connection:
            return [each for run in runs for each in differences(await books(connection, run["run_id"], None))]
    finally:
        await engine.dispose()


async def test_a_stream_moves_once_for_each_request_whoever_is_killed(cluster, redis_url):
    name, user = named("moved"), named("without_password")  # a credential would have to be known to the services
    async with streams_at(redis_url) as streams:
        await streams.redis.acl_setuser(user, enabled=True, nopass=True, keys=["*"], commands=["+@all"])
        place = URL(redis_url).with_user(user).with_password(None)
        extract = {"source": f"{place}?stream={name}", "key": "id", "options": {"prefetch": 7}}
        made = streaming(cluster, name, extract=extract, window="1h")
        config = LoomConfig.load(cluster.project / "loom.yaml")
        await streams.put(name, *entries(range(10)))
        async with open_session(config, cluster=True) as session:
            accepted = await session.begin(request_of(made, config))
            assert (accepted.opened, accepted.window) == (True, 1)
            following = Following(session, str(accepted.stream))
            task = asyncio.create_task(following.follow(1))
            await until_loaded(cluster, name, 10)
            with pytest.raises(ConfigurationError, match="the id of an entry"):
                await session.begin(request_of(made, config, begin_at="yesterday"))
            for turn, point in enumerate(("before_commit:1", "after_commit:1", "before_commit:2", "after_commit:2")):
                cluster.kill("coordinator")
                cluster.begin("coordinator", {VARIABLE: f"coordinator:{point}"})
                request = request_of(made, config, begin_at="start", idempotency_key=f"{name}-{turn}")
                asking = asyncio.create_task(session.begin(request))
                await dies(cluster, "coordinator")
                assert (await asking).stream == following.stream
                await session.begin(request)  # once more
                await streams.put(name, *entries(range(10 + 5 * turn, 15 + 5 * turn)))
                await until_loaded(cluster, name, 15 + 5 * turn)
                await until_known(cluster, following.stream, turn + 1, 10 + 5 * turn)
            cluster.kill("extractor")
            cluster.begin("extractor", {VARIABLE: "extractor:before_source_ack:1"})
            await session.begin(request_of(made, config, begin_at="start"))
            await dies(cluster, "extractor")
            await streams.put(name, *entries(range(30, 35)))
            await until_loaded(cluster, name, 35)
            await session.drain(following.stream)
            async with within(60):
                await task
        assert await streams.left(name) == 0
        await streams.redis.acl_deluser(user)
    assert await ids_in(cluster, name) == ids(range(35))
    moved = await began(cluster, following.stream)
    assert [each["place"] for each in moved] == ["the first entry"] * 5
    assert all(each["known"] >= 10 + 5 * turn for turn, each in enumerate(moved))
    assert await wrong_books(cluster, following.stream) == []
