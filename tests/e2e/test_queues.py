"""Tests pipelines that read a RabbitMQ queue, and that publish to an exchange."""

import json
import sqlite3
from contextlib import closing
from itertools import cycle

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.watched.opening import open_stream
from loom_dev.waiting import within
from support.command import loom
from support.kept_pages import dies_before_it_acknowledges, extractor_of, ids_of_all, pages_in
from support.projects import project, review_ids
from support.proxy import Proxy
from support.queues import message, queues_at, reviews
from support.streamed import ids_loaded, opened, outlives_its_source, streaming, windows

SOURCE = "${BROKER}?queue=reviews"


@pytest.fixture
async def queues(amqp_url):
    async with queues_at(amqp_url) as queues:
        await queues.declare("reviews")
        yield queues


def read(folder, amqp_url, *, destination="out.jsonl", **extract):
    made = project(folder, [], source="none.csv", destination=destination)
    made.say(extract={"source": SOURCE, **extract})
    return made, {"BROKER": amqp_url}


async def run(made, environ, *arguments):
    ended = await loom(made.folder, "run", "pipeline.yaml", "--format", "json", *arguments, environ=environ)
    assert "Traceback" not in ended.err
    return ended


async def test_a_run_takes_what_stands_in_the_queue_and_acknowledges_it(tmp_path, amqp_url, queues):
    made, environ = read(tmp_path, amqp_url, key="id", batch_size=7, options={"prefetch": 20})
    await queues.put("reviews", *reviews(range(50)), message([{"id": "x"}, {"id": "y"}], "list"))
    ended = await run(made, environ)
    assert ended.report["status"] == "succeeded"
    assert [row["id"] for row in await made.loaded()] == [*(f"r{n:06}" for n in range(50)), "x", "y"]
    assert await queues.depth("reviews") == 0


async def test_a_message_that_is_delivered_again_is_not_loaded_again(tmp_path, amqp_url, queues):
    made, environ = read(tmp_path, amqp_url, destination="sqlite:///out.db?table=t")
    await queues.put("reviews", *reviews([1, 2, 1]))
    assert (await run(made, environ)).report["records"]["loaded"] == 2
    await queues.put("reviews", *reviews([2, 3]))
    assert (await run(made, environ)).report["records"]["extracted"] == 1
    assert [row["id"] for row in await made.loaded()] == ["r000001", "r000002", "r000003"]
    assert await queues.depth("reviews") == 0


async def test_what_a_run_that_succeeded_has_received_is_deleted_and_what_a_failed_run_has_is_not(
    tmp_path, amqp_url, queues
):
    made, environ = read(tmp_path, amqp_url)
    await queues.put("reviews", *reviews([1]))
    await run(made, environ)
    made.say(extract={"source": SOURCE, "on_failure": "abort"})
    await queues.put("reviews", message(b"{oops", "bad"))
    failed = await run(made, environ)
    assert failed.report["status"] == "failed"
    made.say(extract={"source": SOURCE, "options": {"until": "idle", "idle_timeout": "4s"}})
    last = await run(made, environ)
    with closing(sqlite3.connect(made.path(".loom/journal.db"))) as journal:
        held = {run_id for (run_id,) in journal.execute("SELECT run_id FROM received_pages WHERE number < 2147483647")}
    assert held == {failed.report["run_id"], last.report["run_id"]}


async def test_a_message_that_is_no_record_costs_itself_and_names_its_id(tmp_path, amqp_url, queues):
    made, environ = read(tmp_path, amqp_url)
    await queues.put("reviews", message(b"{oops", "bad"), *reviews([1]), message({"a": 1, "b": [2]}, "good"))
    ended = await run(made, environ)
    assert (ended.report["records"]["loaded"], ended.report["records"]["quarantined"]) == (2, 1)
    listed = await loom(made.folder, "quarantine", "list", "--format", "json", environ=environ)
    assert "message bad column 2" in listed.out
    assert await queues.depth("reviews") == 0


async def test_a_trial_leaves_every_message_in_the_queue(tmp_path, amqp_url, queues):
    made, environ = read(tmp_path, amqp_url)
    await queues.put("reviews", *reviews(range(8)))
    ended = await run(made, environ, "--sample", "5")
    assert ended.report["records"]["loaded"] == 5
    assert await queues.depth("reviews") == 8
    assert (await run(made, environ)).report["records"]["loaded"] == 8


async def test_rows_are_published_with_the_same_id_whenever(tmp_path, amqp_url, queues):
    await queues.declare_exchange("scores", fives="stars.5.#", rest="stars.1")
    location = "${BROKER}?exchange=scores&routing_key=stars.{{ stars }}"
    made = project(tmp_path, 5, destination=location, load={"options": {"headers": {"of": "{{ id }}"}}})
    environ = {"BROKER": amqp_url}
    ended = await run(made, environ)
    assert (ended.report["records"]["loaded"], ended.report["records"]["quarantined"]) == (2, 3)
    (one,) = await queues.take("rest")
    assert json.loads(one.body)["id"] == "r000000"
    assert (one.delivery_mode, one.content_type, one.headers) == (2, "application/json", {"of": "r000000"})
    validated = await loom(made.folder, "validate", "pipeline.yaml", environ=environ)
    assert "at least once, deduplicated by message id" in " ".join(validated.out.split())
    listed = await loom(made.folder, "quarantine", "list", "--format", "json", environ=environ)
    assert "No queue is bound to the exchange 'scores' for the routing key 'stars.2'." in listed.out
    await queues.declare_exchange("scores", later="stars.2")
    await loom(made.folder, "quarantine", "retry", ended.report["run_id"], "--format", "json", environ=environ)
    (later,) = await queues.take("later")
    assert later.message_id != one.message_id


async def test_a_trial_publishes_nothing(tmp_path, amqp_url, queues):
    await queues.declare_exchange("scores", all="#")
    made = project(tmp_path, 5, destination="${BROKER}?exchange=scores")
    ended = await run(made, {"BROKER": amqp_url}, "--sample", "3")
    assert ended.report["records"]["loaded"] == 3
    assert await queues.depth("all") == 0
    assert len((made.folder / "scores.sample.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("noticed", ["at once", "late"])
async def test_a_run_takes_all_that_stood_in_the_queue_whenever_the_death_of_an_extractor_is_noticed(
    tmp_path, amqp_url, queues, monkeypatch, noticed
):
    monkeypatch.setenv("BROKER", amqp_url)
    read = {"source": SOURCE, "options": {"prefetch": 10, "idle_timeout": "30s"}}
    await queues.put("reviews", *reviews(range(30)))
    async with (
        within(20, "the end of the queue"),
        pages_in(tmp_path) as pages,
        extractor_of(tmp_path, pages, **read) as other,
    ):
        async with extractor_of(tmp_path, pages, **read) as dead:
            begun = await dead.read(None, 10)
            await dies_before_it_acknowledges(dead, begun.cursor, 10)
            if noticed == "late":
                kept = await other.read(begun.cursor, 10)
        if noticed == "at once":
            kept = await other.read(begun.cursor, 10)
            assert await queues.depth("reviews") == 10
        await queues.put("reviews", *reviews(range(30, 35)))  # came after the run began
        found = [record.data["id"] for page in (begun, kept) for record in page.records]
        found += await ids_of_all(other, kept.cursor, 10)
    assert found == review_ids(30)
    assert [each.message_id for each in await queues.take("reviews")] == [f"m{n}" for n in range(30, 35)]


async def test_the_last_messages_of_a_run_are_acknowledged_though_their_extractor_died_before_it_did(
    tmp_path, amqp_url, queues, monkeypatch
):
    monkeypatch.setenv("BROKER", amqp_url)
    read = {"source": SOURCE, "options": {"idle_timeout": "30s"}}
    await queues.put("reviews", *reviews(range(5)))
    async with within(20, "the end of the queue"), pages_in(tmp_path) as pages:
        async with extractor_of(tmp_path, pages, **read) as dead:
            await dies_before_it_acknowledges(dead, None, 10)
        assert await queues.depth("reviews") == 5
        await queues.put("reviews", *reviews([7]))
        async with extractor_of(tmp_path, pages, **read) as other:
            assert await ids_of_all(other, None, 10) == review_ids(5)
    assert [each.message_id for each in await queues.take("reviews")] == ["m7"]


async def test_what_is_kept_of_a_queue_that_is_gone_is_read_all_the_same(tmp_path, amqp_url, queues, monkeypatch):
    monkeypatch.setenv("BROKER", amqp_url)
    await queues.put("reviews", *reviews(range(5)))
    async with within(20, "what is kept"), pages_in(tmp_path) as pages:
        async with extractor_of(tmp_path, pages, source=SOURCE) as dead:
            await dies_before_it_acknowledges(dead, None, 10)
        await queues.channel.queue_delete("reviews")
        async with extractor_of(tmp_path, pages, source=SOURCE) as other:
            assert await ids_of_all(other, None, 10) == review_ids(5)


async def test_a_stream_takes_messages_as_they_come_and_each_once(tmp_path, amqp_url, queues, monkeypatch):
    made = streaming(tmp_path, extract={"source": SOURCE, "key": "id"}, window={"every": "1h", "records": 5})
    monkeypatch.setenv("BROKER", amqp_url)
    await queues.put("reviews", *reviews([1, 2, 3, 2]))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 3)
        await queues.put("reviews", *reviews([3, 4, 5, 6]))
        await stream.closed(1)
        await stream.drained()
    assert ids_loaded(made) == [f"r{number:06}" for number in range(1, 7)]
    assert windows(made) == [(1, "succeeded", 5), (2, "succeeded", 1)]
    assert await queues.depth("reviews") == 0


async def test_what_is_not_alone_with_a_queue_holds_no_message_that_it_was_not_asked_for(
    amqp_url, queues, tmp_path, monkeypatch
):
    monkeypatch.setenv("BROKER", amqp_url)
    config = ExtractConfig(source=SOURCE, options={"prefetch": 3})
    context = ConnectorContext(folder=tmp_path, credentials=Credentials())
    pace = Pace(wait_seconds=0.0, size=3, poll_seconds=None, alone=False)
    one, other = open_stream(config, context, pace), open_stream(config, context, pace)
    try:
        await queues.put("reviews", *reviews(range(8)))
        taken = []
        for source, most in cycle(((one, 100), (other, 2))):
            received = await source.receive(None, most)
            assert received.messages
            taken += [record.data["id"] for each in received.messages for record in source.records_of(each.body, "")]
            await received.acknowledge()
            assert await queues.depth("reviews") == 8 - len(taken)
            if len(taken) == 8:
                break
        assert sorted(taken) == review_ids(8)
    finally:
        await one.close()
        await other.close()


async def test_a_stream_waits_for_a_queue_that_goes_away_and_says_so(tmp_path, amqp_url, queues, monkeypatch):
    made = streaming(tmp_path, extract={"source": SOURCE, "key": "id"}, window="1h")
    async with Proxy(amqp_url) as proxy:
        monkeypatch.setenv("BROKER", proxy.url)
        await outlives_its_source(made, proxy, lambda numbers: queues.put("reviews", *reviews(numbers)))
    assert await queues.depth("reviews") == 0
