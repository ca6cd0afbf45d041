"""Tests pipelines that read a Redis stream: each entry is loaded once, whatever happens to who reads it."""

from __future__ import annotations

import asyncio
import json

import pytest
from redis import Redis
from yarl import URL

from loom_ai.stores.sql.received_pages import SqlReceivedPages
from loom_common.errors import SourceError
from loom_connectors.redis_streams.source import ReceivedEntries
from support.cluster_streams import named, outlives_an_extractor
from support.cluster_streams import streaming as streaming_on
from support.command import Command
from support.kept_pages import dies_before_it_acknowledges, extractor_of, ids_of_all, pages_in
from support.projects import project
from support.proxy import Proxy
from support.redis_streams import entries, streams_at
from support.streamed import ids, ids_loaded, opened, outlives_its_source, streaming, windows

SOURCE = "${REDIS}?stream=tickets"
EXTRACT = {"source": SOURCE, "key": "id"}


@pytest.fixture
async def streams(redis_url, monkeypatch):
    monkeypatch.setenv("REDIS", redis_url)
    async with streams_at(redis_url) as streams:
        yield streams


async def test_a_stream_takes_entries_as_they_come_and_each_once(tmp_path, streams):
    made = streaming(tmp_path, extract={**EXTRACT, "options": {"id_field": "id"}})
    await streams.put("tickets", *entries([*range(7), 3]))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 7)
        await streams.put("tickets", *entries([6, 7, 8, 9, 10]))
        await stream.closed(1)
        await stream.drained()
    assert ids_loaded(made) == ids(range(11))
    assert windows(made) == [(1, "succeeded", 10), (2, "succeeded", 1)]
    assert await streams.left("tickets") == 0


async def test_a_killed_stream_goes_on_with_what_it_was_given_and_loads_it_once(tmp_path, streams, redis_url):
    extract = {**EXTRACT, "options": {"prefetch": 7}}
    made = streaming(tmp_path, extract=extract, window={"every": "1h", "records": 25})
    await streams.put("tickets", *entries(range(60)))
    killed = await Command.begin(made.folder, "run", "pipeline.yaml", environ={"REDIS": redis_url})
    assert await killed.reach(lambda: len(ids_loaded(made)) >= 10)
    await killed.kill()
    await streams.put("tickets", *entries(range(60, 70)))
    async with opened(made) as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(70))
    assert [(status, records) for _, status, records in windows(made)] == [
        ("succeeded", 25),
        ("succeeded", 25),
        ("succeeded", 20),
    ]
    assert await streams.left("tickets") == 0
    assert len(await streams.redis.xinfo_consumers("tickets", "loom")) == 1


async def test_the_last_entries_of_a_run_are_acknowledged_though_their_extractor_died_before_it_did(tmp_path, streams):
    await streams.put("tickets", *entries(range(5)))
    async with pages_in(tmp_path) as pages:
        async with extractor_of(tmp_path, pages, source=SOURCE) as dead:
            await dies_before_it_acknowledges(dead, None, 10)
        assert await streams.held("tickets") == 5
        async with extractor_of(tmp_path, pages, source=SOURCE) as other:
            assert await ids_of_all(other, None, 10) == ids(range(5))
    assert await streams.left("tickets") == 0


async def test_a_stream_waits_for_a_server_that_goes_away_and_says_so(tmp_path, streams, redis_url, monkeypatch):
    made = streaming(tmp_path, extract=EXTRACT, window="1h")
    async with Proxy(redis_url) as proxy:
        monkeypatch.setenv("REDIS", proxy.url)
        await outlives_its_source(made, proxy, lambda numbers: streams.put("tickets", *entries(numbers)))
    assert await streams.left("tickets") == 0


def test_a_sample_takes_no_entry_and_a_run_takes_those_that_stand_there(loom, tmp_path, redis_url, monkeypatch):
    monkeypatch.setenv("REDIS", redis_url)
    made = project(tmp_path, [], source="none.csv")
    made.say(extract={"source": SOURCE, "options": {"field": "data", "prefetch": 5}})
    bodies = [json.dumps({"id": f"r{n}", "n": n}) for n in range(12)]
    with Redis.from_url(redis_url) as redis:
        for body in [*bodies, "{oops"]:
            redis.xadd("tickets", {"data": body})
        sampled = loom("run", "pipeline.yaml", "--sample", "4", "--format", "json")
        assert sampled.report["records"]["loaded"] == 4
        assert redis.xinfo_groups("tickets") == []
        run = loom("run", "pipeline.yaml", "--format", "json")
        assert (run.report["records"]["loaded"], run.report["records"]["quarantined"]) == (12, 1)
        (group,) = redis.xinfo_groups("tickets")
        assert (group["lag"], group["pending"], group["consumers"]) == (0, 0, 0)


def test_what_a_run_was_given_and_had_not_kept_is_taken_when_it_goes_on(loom, tmp_path, redis_url, monkeypatch):
    monkeypatch.setenv("REDIS", redis_url)
    made = project(tmp_path, [], source="none.csv")
    made.say(extract={"source": SOURCE, "key": "id", "options": {"prefetch": 4, "claim_after": "1h"}})
    with Redis.from_url(redis_url) as redis:
        for entry in entries(range(12)):
            redis.xadd("tickets", entry)

        async def dies(*_: object, **__: object) -> None:
            raise SourceError("the extractor died")

        async def nothing(_: object) -> None: ...

        with monkeypatch.context() as patched:
            patched.setattr(SqlReceivedPages, "keep", dies)
            patched.setattr(ReceivedEntries, "give_back", nothing)
            assert loom("run", "pipeline.yaml", "--format", "json").report["status"] == "failed"
        redis.xadd("tickets", entries([99])[0])  # came after the run began, and comes next
        redis.xreadgroup("loom", "another-program", {"tickets": ">"}, count=1)
        assert redis.xpending("tickets", "loom")["pending"] == 5
        went_on = loom("resume", "latest", "--format", "json")
        assert redis.xpending("tickets", "loom")["consumers"] == [{"name": b"another-program", "pending": 1}]
    assert [row["id"] for row in asyncio.run(made.loaded())] == ids([0, 1, 2, 3, *range(5, 12), 99])
    assert went_on.report["records"]["loaded"] == 12


async def test_any_extractor_of_a_cluster_goes_on_where_another_one_was_killed(cluster, streams, redis_url):
    name, user = named("entries"), named("without_password")  # a credential would have to be known to the services
    await streams.redis.acl_setuser(user, enabled=True, nopass=True, keys=["*"], commands=["+@all"])
    place = URL(redis_url).with_user(user).with_password(None)
    extract = {"source": f"{place}?stream={name}", "key": "id", "options": {"prefetch": 5}}
    made = streaming_on(cluster, name, extract=extract)
    try:
        await outlives_an_extractor(cluster, made, lambda numbers: streams.put(name, *entries(numbers)))
        assert await streams.left(name) == 0
    finally:
        await streams.redis.acl_deluser(user)
