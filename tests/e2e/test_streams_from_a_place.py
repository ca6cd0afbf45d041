"""Tests `loom run --from`: a stream goes on at a place of its source that somebody has named."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from contextlib import closing

import pytest
from rich.console import Console

from loom.cli.output.formats import Format
from loom.cli.output.streams.windows import WindowDisplay
from loom.project.config import LoomConfig
from loom.session import open_session
from loom.session.client import unanswered
from loom_common.contracts.v1 import RunAccepted, RunRequest
from loom_common.errors import ConfigurationError
from support.clients import request_of
from support.feed_server import WAYS, Feed
from support.kafka_topics import Topics, tickets
from support.projects import project
from support.redis_streams import entries, streams_at
from support.rest_server import serving
from support.streamed import Following, arrive, ids, ids_loaded, opened, state, streaming, windows

UPSERT = {"load": {"destination": "sqlite:///out.db?table=t", "mode": "upsert", "key": ["id"]}}


def files(made, *names):
    """Let files of three records appear one after the other."""
    for at, name in enumerate(names):
        arrive(made, name, range(3 * at, 3 * at + 3))


async def read(made, count):
    """Let a stream load so many rows, and pause it."""
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == count)


def began(made):
    """Return where windows began that somebody has had begin elsewhere, by the number of the window."""
    rows = state(made, "SELECT stream_window, began_at, known FROM pipeline_runs WHERE began_at IS NOT NULL")
    return {number: (json.loads(said), known) for number, said, known in rows}


async def refused(made, **asked):
    """Return why a stream cannot begin there, and see that nothing has changed by asking."""
    before = state(made, "SELECT number, cursor, moving, begins FROM streams") if windows_there(made) else None
    with pytest.raises(ConfigurationError) as raised:
        async with opened(made, **asked):
            pass
    if before is not None:
        assert state(made, "SELECT number, cursor, moving, begins FROM streams") == before
    return str(raised.value)


def windows_there(made):
    return made.path(".loom/loom.db").exists() and bool(state(made, "SELECT 1 FROM streams"))


async def test_a_folder_is_read_again_from_a_file_where_that_is_said(tmp_path):
    made = streaming(tmp_path)
    files(made, "a", "b", "c")
    await read(made, 9)
    words = await refused(made, begin_at="b.jsonl")
    assert "`--again`" in words
    assert "inbox/b.jsonl" in words
    async with opened(made, begin_at="b.jsonl", again=True) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 15)
        await stream.drained()
    assert ids_loaded(made) == sorted([*ids(range(9)), *ids(range(3, 9))])
    ((number, (said, known)),) = began(made).items()
    assert (number, said["place"], known) == (2, "inbox/b.jsonl", 0)
    assert said["back"] is True
    assert said["again"] is True
    assert windows(made) == [(1, "succeeded", 9), (2, "succeeded", 6)]


async def test_rows_that_are_replaced_may_come_again_without_a_word(tmp_path):
    made = streaming(tmp_path, **UPSERT)
    files(made, "a", "b")
    await read(made, 6)
    async with opened(made, begin_at="start") as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(6))
    assert windows(made) == [(1, "succeeded", 6), (2, "succeeded", 6)]


async def test_what_lies_before_a_place_is_left_out_by_a_new_stream_and_by_one_that_is_there(tmp_path):
    made = streaming(tmp_path)
    files(made, "a", "b", "c")
    async with opened(made, begin_at="b.jsonl") as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 6)
    arrive(made, "d", range(20, 23))
    async with opened(made, begin_at="end") as stream:
        arrive(made, "e", range(30, 33))
        await stream.until(lambda: len(ids_loaded(made)) == 9)
        await stream.drained()
    assert ids_loaded(made) == [*ids(range(3, 9)), *ids(range(30, 33))]
    assert {number: said["place"] for number, (said, _) in began(made).items()} == {
        1: "inbox/b.jsonl",
        2: "the end, after inbox/d.jsonl",
    }


async def test_a_request_that_comes_twice_moves_a_stream_once(tmp_path):
    made = streaming(tmp_path, **UPSERT)
    files(made, "a", "b")
    await read(made, 6)
    config = LoomConfig.load(made.folder / "loom.yaml")
    async with open_session(config, cluster=False) as session:
        request = request_of(made, config, begin_at="start", idempotency_key="once")
        one = await session.begin(request)
        following = Following(session, str(one.stream))
        task = asyncio.create_task(following.follow(one.window or 1))
        assert one.begins_at == "the first file"
        await following.until(lambda: windows(made)[-1][0] == 2)
        assert (await session.begin(request)).stream == one.stream
        await following.drained()
        await task
    assert list(began(made)) == [2]
    assert windows(made) == [(1, "succeeded", 6), (2, "succeeded", 6)]


async def test_a_table_is_read_from_a_value_of_its_column(tmp_path):
    extract = {
        "source": "sqlite:///in.db?table=rows",
        "key": "id",
        "poll": "20ms",
        "incremental": {"column": "n", "lag": 3},
    }
    made = streaming(tmp_path, extract=extract)
    with closing(sqlite3.connect(made.path("in.db"))) as database, database:
        database.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, n INTEGER)")
        database.executemany("INSERT INTO rows VALUES (?, ?)", [(f"t{n:05}", n) for n in range(20)])
    async with opened(made, begin_at="5") as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 15)
        await stream.drained()
    assert "it is a time, and the column holds a number" in await refused(made, begin_at="2026-11-01T00:00:00Z")
    assert "nobody knows its last value" in await refused(made, begin_at="end")
    assert "`--again`" in await refused(made, begin_at="17")
    async with opened(made, begin_at="17", again=True) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 18)
        await stream.drained()
    assert ids_loaded(made) == sorted([*ids(range(5, 20)), *ids(range(17, 20))])


async def test_entries_of_redis_that_are_known_are_left_out_unless_they_are_to_come_again(
    tmp_path, redis_url, monkeypatch
):
    monkeypatch.setenv("REDIS", redis_url)
    made = streaming(tmp_path, extract={"source": "${REDIS}?stream=tickets", "key": "id"}, window="1h")
    async with streams_at(redis_url) as streams:
        names = await streams.put("tickets", *entries(range(10)))
        async with opened(made, begin_at=names[4]) as stream:
            await stream.until(lambda: len(ids_loaded(made)) == 6)
        async with opened(made, begin_at="start") as stream:
            await stream.until(lambda: len(ids_loaded(made)) == 10)
            await stream.drained()
        assert ids_loaded(made) == ids(range(10))
        said, known = began(made)[2]
        assert (known, said["place"], said["was"]) == (6, "the first entry", f"the entry after {names[9]}")
        async with opened(made, begin_at=names[8], again=True) as stream:
            await stream.until(lambda: len(ids_loaded(made)) == 12)
            await streams.put("tickets", *entries([10]))
            await stream.until(lambda: len(ids_loaded(made)) == 13)
            await stream.drained()
        assert await streams.left("tickets") == 0
    assert ids_loaded(made) == sorted([*ids(range(11)), *ids(range(8, 10))])
    assert "the id of an entry" in await refused(made, begin_at="yesterday")


async def test_messages_of_kafka_that_are_known_are_left_out_unless_they_are_to_come_again(
    tmp_path, kafka_url, monkeypatch
):
    monkeypatch.setenv("KAFKA", kafka_url)
    topics = Topics(kafka_url)
    topic = await topics.made(partitions=2)
    await topics.put(topic, *tickets(range(20)))
    made = streaming(tmp_path, extract={"source": f"${{KAFKA}}/{topic}?group=from", "key": "id"}, window="1h")
    async with opened(made, begin_at="0:4,1:7") as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 9)
    async with opened(made, begin_at="2h") as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 20)
        await stream.drained()
    assert ids_loaded(made) == ids(range(20))
    said, known = began(made)[2]
    assert (known, said["place"]) == (9, "partition 0 offset 0, partition 1 offset 0")
    async with opened(made, begin_at="1:8", again=True) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 22)
        await stream.drained()
    assert ids_loaded(made) == sorted([*ids(range(20)), "t00017", "t00019"])
    assert await topics.left(topic, "from") == 0
    assert "partition 0 has the offsets 0 to 10" in await refused(made, begin_at="0:11")
    assert "it has the partitions 0, 1" in await refused(made, begin_at="7:1")
    assert "offsets by partition" in await refused(made, begin_at="tomorrow")


async def test_an_api_is_asked_from_a_cursor(tmp_path):
    with serving(Feed()) as feed:
        options = {**WAYS["body"][1], "long_poll": {"wait": "5s", "wait_param": "timeout", "id_field": "id"}}
        extract = {"source": f"rest+{feed.url}/body", "key": "id", "poll": "20ms", "options": options}
        made = streaming(tmp_path, extract=extract, window="1h")
        feed.add(*range(10))
        async with opened(made, begin_at="6") as stream:
            await stream.until(lambda: len(ids_loaded(made)) == 4)
        async with opened(made, begin_at="start") as stream:
            await stream.until(lambda: len(ids_loaded(made)) == 10)
            await stream.drained()
    assert began(made)[2][1] == 4


async def test_a_queue_and_records_over_http_have_no_past(tmp_path, amqp_url, monkeypatch):
    monkeypatch.setenv("BUS", amqp_url)
    made = streaming(tmp_path / "queue", extract={"source": "${BUS}?queue=tickets", "key": "id"})
    assert "a queue, which gives each message once" in await refused(made, begin_at="2h")
    given = streaming(tmp_path / "given", extract={"source": "api://tickets", "key": "id"})
    assert "records that were given over HTTP" in await refused(given, begin_at="start")


def test_the_terminal_says_that_a_new_stream_begins_and_from_where():
    told = io.StringIO()
    screen = WindowDisplay(Console(file=told, width=200), Format.TABLE)
    answer = RunAccepted(run_id="run_1", pipeline="tickets", status="running", stream="stream_1", window=1)
    screen.opened("stream_1", answer.model_copy(update={"opened": True, "begins_at": "inbox/b.jsonl"}))
    screen.opened("stream_1", answer)
    assert told.getvalue().splitlines() == [
        "tickets: stream_1 begins with window 1, run_1",
        "it reads from inbox/b.jsonl on",
        "tickets: stream_1 goes on with window 1, run_1",
    ]


def test_who_gets_no_answer_is_told_that_an_extractor_looks_for_the_place():
    assert "extractor" in unanswered(RunRequest(pipeline="p", begin_at="2h"))
    assert "extractor" not in unanswered(RunRequest(pipeline="p"))


def test_a_run_that_ends_cannot_begin_elsewhere_and_says_what_to_do(loom, tmp_path):
    project(tmp_path, 3)
    told = loom("run", "pipeline.yaml", "--from", "2h")
    assert told.code == 2
    assert "a run reads its source as a whole" in told.err
    assert "--from PLACE" in loom("run", "pipeline.yaml", "--again").err


def test_a_stream_never_takes_all_of_its_source_and_says_how_to_begin_again(loom, tmp_path):
    streaming(tmp_path)
    told = loom("run", "pipeline.yaml", "--full-refresh")
    assert told.code == 2
    assert "--from start --again" in " ".join(told.err.split())
