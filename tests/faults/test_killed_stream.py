"""Tests a stream on a cluster whose services are killed with SIGKILL, and whose servers go away: each record is loaded
once, and no call is paid for twice."""

from __future__ import annotations

from collections import Counter

import pytest

from loom_dev.backends import RabbitMQ
from loom_dev.backends.postgres import Postgres
from loom_dev.waiting import within
from support.cluster import MODEL_CALLS_AT_ONCE, NAMES, Cluster, running
from support.cluster_streams import ids_in, named, stream_on
from support.feed_server import WAYS, Feed
from support.length import LONG
from support.projects import ai
from support.rest_server import serving
from support.streamed import ids
from support.watching import cluster_in_use

KILLED = NAMES if LONG else ("extractor", "coordinator", "loader")


async def test_a_stream_outlives_each_of_its_services(cluster, model):
    async with stream_on(cluster, named("killed"), transform=ai(model.base_url, cache={"enabled": False})) as stream:
        for at, service in enumerate(KILLED):
            await stream.arrive(30)
            await stream.until_loaded(30 * at + 8)
            cluster.kill(service)
            await cluster.serve()
        await stream.until_loaded(stream.arrived)
        await stream.drained()
        windows = await stream.windows()
    assert [row["number"] for row in windows] == list(range(1, len(windows) + 1))
    assert {row["status"] for row in windows} == {"succeeded"}
    assert [row["records"] for row in windows[:-1]] == [20] * (len(windows) - 1)
    assert stream.arrived <= model.calls <= stream.arrived + (MODEL_CALLS_AT_ONCE if "transformer" in KILLED else 0)


async def test_a_version_on_trial_outlives_the_services(cluster):
    async with stream_on(cluster, named("on_trial")) as stream:
        await stream.arrive(10)
        await stream.until_loaded(10)
        stream.made.say(version="2.0.0")
        assert (await stream.opened(canary=0.5)).canary == 0.5
        for at, service in enumerate(KILLED, 1):
            await stream.arrive(40)
            await stream.until_loaded(40 * at - 20)
            cluster.kill(service)
            await cluster.serve()
        await stream.until_loaded(stream.arrived)
        await stream.session.promote(stream.following.stream)
        await stream.arrive(10)
        await stream.drained()
        windows = await stream.windows()
    assert {row["status"] for row in windows} == {"succeeded"}
    of_each = Counter[str]()
    for row in windows:
        of_each[row["version"]] += row["records"]
    assert of_each.total() == stream.arrived
    assert min(of_each.values()) > 20


async def test_a_server_that_is_polled_is_asked_again_from_what_was_kept(cluster):
    """No cursor is lost with the extractor that had it, and an answer that comes again adds nothing."""
    name, way = named("polled"), WAYS["body"]
    with serving(Feed(again=2, most=10)) as feed:
        poll = {"wait": "5s", "wait_param": "timeout", "id_field": "id"}
        extract = {"source": feed.location + way[0], "key": "id", "options": {**way[1], "long_poll": poll}}
        async with stream_on(cluster, name, extract=extract) as stream:
            for at, service in enumerate(("extractor", "coordinator")):
                feed.add(*range(30 * at, 30 * at + 30))
                await stream.until_loaded(30 * at + 8)
                cluster.kill(service)
                await cluster.serve()
            await stream.until_loaded(60)
            await stream.session.drain(stream.following.stream)
            async with within(60):
                await stream.following.ended.wait()
            records = [row["records"] for row in await stream.windows()]
        assert await ids_in(cluster, name) == ids(range(60))
        assert sum(records) == 60


if LONG:

    @pytest.mark.timeout(400)
    async def test_a_stream_outlives_its_broker_and_its_database(
        own_rabbitmq: RabbitMQ, own_postgres: Postgres, tmp_path, monkeypatch
    ):
        with own_rabbitmq.vhost() as bus_url:
            async with own_postgres.database() as state_url:
                alone = Cluster(tmp_path / "project", bus_url=bus_url, state_url=state_url)
                async with running(alone), cluster_in_use(alone, monkeypatch) as cluster:
                    await _restarted(cluster, own_rabbitmq, own_postgres)


async def _restarted(cluster: Cluster, *servers: RabbitMQ | Postgres) -> None:
    """Restart each server in the middle of a stream, twice. Whoever follows the stream, and puts messages, connects
    again."""
    arrived = 0
    for server in (*servers, *servers):
        async with stream_on(cluster, "restarted_stream", arrived=arrived, stays=True) as stream:
            await stream.arrive(30)
            await stream.until_loaded(arrived + 8)
            server.restart()
        async with stream_on(cluster, "restarted_stream", arrived=arrived + 30, stays=True) as stream:
            await stream.arrive(30)
            await stream.until_loaded(arrived + 60)
        arrived += 60
    async with stream_on(cluster, "restarted_stream", arrived=arrived) as stream:
        await stream.drained()
