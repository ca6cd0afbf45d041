"""Tests REST APIs whose requests wait for something new: each record is given once, from whatever state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.errors import DependencyUnavailable, InvalidDefinition, RateLimited, SourceError
from loom_common.ports.clock import SystemClock
from loom_connectors.rest.reading import long_poll
from loom_connectors.watched.opening import open_stream
from loom_dev.waiting import within
from support.clocks import ManualClock
from support.feed_server import WAYS, Feed
from support.rest_clients import context
from support.rest_server import TOKEN, Fault, serving

BODY = WAYS["body"][1]
CURSOR = BODY["pagination"]


@pytest.fixture
def feed() -> Iterator[Feed]:
    with serving(Feed()) as feed:
        yield feed


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(long_poll, "QUIET_SECONDS", 0.02)


@asynccontextmanager
async def opened(location: str, poll: dict[str, Any] | None = None, clock: Any = None, **options: Any):
    waits = {"wait_param": "timeout", **(poll or {})}
    config = ExtractConfig(source=location, options={**options, "long_poll": waits})
    given = context(clock) if clock is not None else context(SystemClock())
    source = open_stream(config, given, Pace(wait_seconds=0.0, size=100, poll_seconds=0.0))
    try:
        yield source
    finally:
        await source.close()


async def news(source, state: Any = None) -> tuple[list[Any], Any]:
    """Return what the next answer that has records brings, and the state after it."""
    async with within(10):
        while True:
            received = await source.receive(state, 1000)
            if received.messages:
                return received.messages, json.loads(json.dumps(received.state))


def ids(source, messages) -> list[str]:
    return [record.data["id"] for each in messages for record in source.records_of(each.body, "")]


@pytest.mark.parametrize("way", WAYS)
async def test_what_follows_the_cursor_is_given_once_wherever_the_cursor_stands(feed, way):
    path, options = WAYS[way]
    feed.add(1, 2, 3)
    async with opened(feed.location + path, **options) as source:
        found, state = await news(source)
        assert ids(source, found) == ["t00001", "t00002", "t00003"]
    feed.add(4)
    async with opened(feed.location + path, **options) as other:  # another process goes on
        found, state = await news(other, state)
        assert ids(other, found) == ["t00004"]
        (record,) = other.records_of(found[0].body, "")
        assert record.position == "answer 2 item 1"
        assert not (await other.receive(state, 1000)).messages


async def test_a_request_waits_at_the_server_while_it_is_asked_for_again_and_again(feed):
    async with opened(f"{feed.location}/body", **BODY) as source:
        for _ in range(3):
            received = await source.receive(None, 1000)
            assert (received.messages, received.state) == ([], None)
        assert len(feed.asked) <= 1
        feed.add(1)
        assert ids(source, (await news(source))[0]) == ["t00001"]
    assert feed.asked[0][0] == "/body?timeout=30"


@pytest.mark.parametrize("limit", ["read", "total"])
async def test_a_request_may_wait_at_the_server_for_longer_than_an_answer_may_take(feed, limit):
    async with opened(f"{feed.location}/body", {"wait": "60s"}, timeouts={limit: 0.05}, **BODY) as source:
        for _ in range(20):  # of at least 20 ms each
            assert not (await source.receive(None, 1000)).messages
        assert len(feed.asked) == 1
        feed.add(1)
        assert ids(source, (await news(source))[0]) == ["t00001"]


async def test_a_stream_that_went_on_elsewhere_is_asked_for_by_its_own_cursor(feed):
    async with opened(f"{feed.location}/body", **BODY) as source:
        assert not (await source.receive(None, 1000)).messages
        feed.add(1, 2)
        found, _ = await news(source, {"at": 1, "answer": 5})
        assert ids(source, found) == ["t00002"]


async def test_answers_that_come_close_together_are_one_page(feed):
    feed.most = 1
    feed.add(1, 2, 3)
    config = ExtractConfig(source=f"{feed.location}/body", options={**BODY, "long_poll": {"wait_param": "timeout"}})
    source = open_stream(config, context(SystemClock()), Pace(wait_seconds=5.0, size=3, poll_seconds=0.0))
    assert len((await news(source))[0]) == 3
    await source.close()


async def test_the_wait_is_told_in_milliseconds_where_the_server_counts_so(feed):
    feed.add(1)
    async with opened(f"{feed.location}/body", {"wait": "250ms", "wait_unit": "milliseconds"}, **BODY) as source:
        await news(source)
    assert feed.asked[0][0] == "/body?timeout=250"


@pytest.mark.parametrize("fault", [Fault(204), Fault(304), Fault(408), Fault(200)])
async def test_an_answer_without_a_body_is_quiet_and_the_next_request_has_its_time(feed, fault):
    feed.faults = [fault]
    clock = ManualClock()
    async with opened(f"{feed.location}/body", clock=clock, **BODY) as source:
        source.poll_seconds = 30.0
        await until_asked(feed, source, 1)
        assert not (await source.receive(None, 1000)).messages
        assert len(feed.asked) == 1
        clock.pass_time(60)
        feed.add(1)
        assert ids(source, (await news(source))[0]) == ["t00001"]


async def until_asked(feed: Feed, source, number: int) -> None:
    """Receive until so many requests have come and been answered."""
    async with within(10):
        while len(feed.asked) < number or source._waiting is not None:
            assert not (await source.receive(None, 1000)).messages


async def test_a_server_that_answers_too_late_is_quiet_and_asked_again(feed):
    feed.silent = True
    timeouts = {"read": 0.05, "total": 0.05}
    async with opened(f"{feed.location}/body", {"wait": "10ms"}, timeouts=timeouts, **BODY) as source:
        await until_asked(feed, source, 2)
        feed.silent = False
        feed.add(1)
        assert ids(source, (await news(source))[0]) == ["t00001"]


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(429, {"Retry-After": "40"}, b"slowly"), RateLimited, r"asks to slow down \(429: slowly\)"),
        (Fault(503, {"Retry-After": "40"}), DependencyUnavailable, "the server answered 503"),
    ],
)
async def test_a_server_that_asks_to_wait_is_asked_no_earlier(feed, fault, kind, words):
    feed.faults = [fault]
    clock = ManualClock()
    async with opened(f"{feed.location}/body", clock=clock, **BODY) as source:
        with pytest.raises(kind, match=words):
            await news(source)
        clock.pass_time(30)
        with pytest.raises(kind, match=words) as again:
            await source.receive(None, 1000)
        assert again.value.retry_after == pytest.approx(10, abs=1)
        assert len(feed.asked) == 1
        clock.pass_time(11)
        feed.add(1)
        assert ids(source, (await news(source))[0]) == ["t00001"]


async def test_a_server_that_is_away_is_said_and_asked_again(feed):
    async with opened("rest+http://127.0.0.1:9/body", **BODY) as source:
        for _ in range(2):
            with pytest.raises(DependencyUnavailable, match="cannot be reached"):
                await news(source)


async def test_an_answer_that_is_no_json_is_a_mistake_before_a_run_and_passes_within_one(feed):
    feed.faults = [Fault(200, {}, b"<html>"), Fault(200, {}, b"<html>")]
    async with opened(f"{feed.location}/body", **BODY) as source:
        with pytest.raises(SourceError, match="with no JSON"):
            await source.check()
        with pytest.raises(DependencyUnavailable, match="with no JSON"):
            await news(source)
        feed.add(1)
        assert ids(source, (await news(source))[0]) == ["t00001"]


async def test_what_was_received_before_a_server_failed_is_given(feed):
    feed.most = 1
    feed.add(1)
    config = ExtractConfig(source=f"{feed.location}/body", options={**BODY, "long_poll": {}})
    source = open_stream(config, context(SystemClock()), Pace(wait_seconds=5.0, size=3, poll_seconds=0.0))
    task = asyncio.create_task(news(source))
    async with within(10):
        while len(feed.asked) < 2:
            await asyncio.sleep(0.001)
    feed.faults = [Fault(500)]
    found, state = await task
    assert ids(source, found) == ["t00001"]
    assert state["at"] == 1
    await source.close()


async def test_records_that_come_again_have_the_same_identity(feed):
    feed.again = 2
    feed.add(1, 2)
    async with opened(f"{feed.location}/body", {"id_field": "id"}, **BODY) as source:
        first, state = await news(source)
        feed.add(3)
        second, _ = await news(source, state)
    assert [each.identity for each in first] == ["id=t00001", "id=t00002"]
    assert [each.identity for each in second] == ["id=t00001", "id=t00002", "id=t00003"]


async def test_records_without_the_field_and_such_as_cannot_be_read_are_taken_each_time(feed):
    feed.events = [{"other": 1}, {"id": ""}, {"id": None}, 5]
    async with opened(f"{feed.location}/body", {"id_field": "id"}, **BODY) as source:
        found, _ = await news(source)
        assert [each.identity for each in found] == [None] * 4
        (bad,) = source.records_of(found[3].body, "")
        assert bad.error is not None


async def test_an_answer_whose_cursor_does_not_move_needs_identities(feed):
    feed.add(1)
    options = {"pagination": {"type": "cursor", "cursor_header": "X-None"}}
    async with opened(f"{feed.location}/plain", **options) as source:
        with pytest.raises(SourceError, match=r"name the field .* `options.long_poll.id_field`"):
            await news(source)
    async with opened(f"{feed.location}/plain", {"id_field": "id"}, **options) as source:
        found, state = await news(source)
        assert ids(source, found) == ["t00001"]
        await until_asked(feed, source, 4)  # the same answer is no news
        feed.add(2)
        assert ids(source, (await news(source, state))[0]) == ["t00001", "t00002"]


async def test_no_secret_stands_in_a_state_an_origin_or_an_error(feed):
    feed.add(1)
    auth = {"type": "api_key", "name": "key", "api_key": "${TOKEN}", "location": "query"}
    params = {"of": "me", "token": "${TOKEN}"}
    async with opened(f"{feed.location}/link", auth=auth, params=params, pagination="link") as source:
        _, state = await news(source)
        assert TOKEN in feed.asked[0][0]
        assert TOKEN not in json.dumps(state) + source.origin
        assert source.origin.endswith("/link?of=me")
        feed.faults = [Fault(400, {}, f"wrong: {TOKEN}".encode())]
        with pytest.raises(SourceError, match=r"wrong: \*\*\*"):
            await news(source, state)


async def test_a_look_before_a_run_takes_what_is_there_and_waits_for_nothing(feed, monkeypatch):
    async with opened(f"{feed.location}/body", **BODY) as source:
        await source.check()
        assert feed.asked[0][0] == "/body?timeout=0"
        feed.add(1, 2)
        assert (await source.fields()).names == ("id",)
        assert len((await source.read(None, 1)).records) == 1
        assert await source.count() is None
    monkeypatch.setattr(long_poll, "_LOOK_SECONDS", 0.02)
    feed.silent = True
    async with opened(f"{feed.location}/body", **BODY) as source:
        await source.check()
    feed.silent = False


@pytest.mark.parametrize(
    ("options", "poll", "extract", "words"),
    [
        ({"pagination": "page"}, {}, {}, "`pagination` of the type `link` or `cursor` beside `long_poll`"),
        ({}, {}, {}, "`pagination` of the type `link` or `cursor` beside `long_poll`"),
        ({"pagination": {**CURSOR, "has_more_path": "more"}}, {}, {}, "no `has_more_path` beside `long_poll`"),
        ({"pagination": {**CURSOR, "cursor_header": "ETag"}}, {}, {}, "`cursor_path` or `cursor_header`"),
        ({"pagination": {**CURSOR, "location": "header", "cursor_param": "a b"}}, {}, {}, "names of headers"),
        (BODY, {"wait": "long"}, {}, "a number and a unit"),
        (BODY, {"wait_unit": "hours"}, {}, "seconds"),
        (BODY, {}, {"key": "id", "incremental": {"column": "n"}}, "the cursor of an answer says what is new"),
        (BODY, {}, {"settle": "1s"}, "files that may still be written to"),
        (BODY, {}, {"query": "SELECT 1"}, "none for a REST API"),
    ],
)
def test_mistakes_are_told_with_their_place(options, poll, extract, words):
    config = ExtractConfig(source="rest+http://h/x", options={**options, "long_poll": poll}, **extract)
    with pytest.raises(InvalidDefinition, match=words):
        open_stream(config, context(), Pace(wait_seconds=0.0, size=100, poll_seconds=None))
