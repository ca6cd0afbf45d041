"""Tests pipelines that read a topic of Kafka: each message is loaded once, whatever happens to who reads it."""

from __future__ import annotations

import asyncio
import json

import pytest

from support.cluster_streams import named, outlives_an_extractor
from support.cluster_streams import streaming as streaming_on
from support.command import Command
from support.kafka_topics import Topics, tickets
from support.kept_pages import dies_before_it_acknowledges, extractor_of, ids_of_all, pages_in
from support.projects import project
from support.streamed import ids, ids_loaded, opened, streaming, windows


@pytest.fixture
def topics(kafka_url, monkeypatch) -> Topics:
    monkeypatch.setenv("KAFKA", kafka_url)
    return Topics(kafka_url)


def reading(topic: str) -> dict[str, str]:
    return {"source": f"${{KAFKA}}/{topic}?group=triage", "key": "id"}


async def test_a_stream_takes_messages_as_they_come_and_each_once(tmp_path, topics):
    topic = await topics.made()
    made = streaming(tmp_path, extract={**reading(topic), "options": {"id_field": "id"}})
    await topics.put(topic, *tickets([*range(7), 3]))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 7)
        await topics.put(topic, *tickets([6, 7, 8, 9, 10]))
        await stream.closed(1)
        await stream.drained()
    assert ids_loaded(made) == ids(range(11))
    assert windows(made) == [(1, "succeeded", 10), (2, "succeeded", 1)]
    assert await topics.left(topic, "triage") == 0


async def test_a_killed_stream_goes_on_with_what_was_not_kept_and_loads_it_once(tmp_path, topics, kafka_url):
    topic = await topics.made(partitions=3)
    made = streaming(tmp_path, extract={**reading(topic), "options": {"prefetch": 7}}, window="1h")
    await topics.put(topic, *tickets(range(60)))
    killed = await Command.begin(made.folder, "run", "pipeline.yaml", environ={"KAFKA": kafka_url})
    assert await killed.reach(lambda: len(ids_loaded(made)) >= 10)
    await killed.kill()
    await topics.put(topic, *tickets(range(60, 70)))
    async with opened(made) as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(70))
    assert await topics.left(topic, "triage") == 0


async def test_the_last_offsets_of_a_run_are_committed_though_its_extractor_died_before_it_did(tmp_path, topics):
    topic = await topics.made()
    await topics.put(topic, *tickets(range(5)))
    read = reading(topic)
    async with pages_in(tmp_path) as pages:
        async with extractor_of(tmp_path, pages, **read) as dead:
            await dies_before_it_acknowledges(dead, None, 10)
        assert await topics.committed(topic, "triage") == {}
        async with extractor_of(tmp_path, pages, **read) as other:
            assert sorted(await ids_of_all(other, None, 10)) == ids(range(5))
    assert await topics.committed(topic, "triage") != {}
    assert await topics.left(topic, "triage") == 0


async def test_a_stream_waits_for_a_broker_that_goes_away_and_says_so(tmp_path, own_kafka, monkeypatch):
    monkeypatch.setenv("KAFKA", own_kafka.url)
    topics = Topics(own_kafka.url)
    topic = await topics.made()
    made = streaming(tmp_path, extract=reading(topic), window="1h")
    await topics.put(topic, *tickets(range(3)))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 3)
        await asyncio.to_thread(own_kafka.stop)
        await stream.until(lambda: any("is away" in notice for notice in stream.notices))
        await asyncio.to_thread(own_kafka.start)
        await topics.put(topic, *tickets(range(3, 6)))
        await stream.until(lambda: len(ids_loaded(made)) == 6)
        await stream.drained()
    assert windows(made) == [(1, "succeeded", 6)]
    assert await topics.left(topic, "triage") == 0


def test_a_sample_commits_nothing_and_a_run_takes_what_stands_there(loom, tmp_path, topics):
    topic = asyncio.run(topics.made())
    made = project(tmp_path, [], source="none.csv")
    made.say(extract={"source": f"${{KAFKA}}/{topic}", "options": {"prefetch": 5, "properties": ["key"]}})
    bodies = [json.dumps({"id": f"r{n}", "n": n}) for n in range(12)]
    asyncio.run(topics.put(topic, *bodies, "{oops", None, key=b"k"))
    sampled = loom("run", "pipeline.yaml", "--sample", "4", "--format", "json")
    assert sampled.report["records"]["loaded"] == 4
    assert asyncio.run(topics.committed(topic)) == {}
    run = loom("run", "pipeline.yaml", "--format", "json")
    assert (run.report["records"]["loaded"], run.report["records"]["quarantined"]) == (12, 2)
    assert asyncio.run(topics.left(topic)) == 0
    again = loom("run", "pipeline.yaml", "--format", "json")
    assert again.report["records"]["extracted"] == 0


def test_a_missing_topic_is_told_before_a_run(loom, tmp_path, topics):
    made = project(tmp_path, [], source="none.csv")
    made.say(extract={"source": "${KAFKA}/nothing-here"})
    ran = loom("run", "pipeline.yaml")
    assert ran.code != 0
    assert "has no topic 'nothing-here'. Create it" in " ".join(ran.err.split())


async def test_any_extractor_of_a_cluster_goes_on_where_another_one_was_killed(cluster, topics, kafka_url):
    name = named("messages")
    topic = await topics.made(name=name)
    extract = {"source": f"{kafka_url}/{topic}", "key": "id", "options": {"prefetch": 5}}
    made = streaming_on(cluster, name, extract=extract)
    await outlives_an_extractor(cluster, made, lambda numbers: topics.put(topic, *tickets(numbers)))
    assert await topics.left(topic) == 0
