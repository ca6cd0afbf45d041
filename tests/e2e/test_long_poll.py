"""Tests streams that ask a REST API for what is new: each record is loaded once, whatever happens to either side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.command import Command
from support.feed_server import WAYS, Feed
from support.proxy import Proxy
from support.rest_server import Fault, serving
from support.streamed import ids, ids_loaded, opened, outlives_its_source, streaming, windows


@pytest.fixture
def feed() -> Iterator[Feed]:
    with serving(Feed()) as feed:
        yield feed


def polled(url: str, **poll: Any) -> dict[str, Any]:
    """Return the section `extract` of a stream that asks the server at `url`."""
    options = {**WAYS["body"][1], "long_poll": {"wait": "5s", "wait_param": "timeout", "id_field": "id", **poll}}
    return {"source": f"rest+{url}/body", "key": "id", "poll": "20ms", "options": options}


async def test_a_stream_loads_what_a_server_answers_each_once_and_waits_for_more(tmp_path, feed):
    feed.again = 2
    made = streaming(tmp_path, extract=polled(feed.url))
    feed.add(*range(7))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 7 and feed.waiting == 1)
        feed.faults = [Fault(204), *[Fault(429, {"Retry-After": "1"}, b"gently")] * 100]
        feed.add(*range(7, 12))
        await stream.closed(1)
        await stream.until(lambda: any("slow down (429: gently)" in notice for notice in stream.notices))
        feed.faults.clear()  # only now: what is told of a stream is looked at now and then
        await stream.drained()
    assert ids_loaded(made) == ids(range(12))
    assert windows(made) == [(1, "succeeded", 10), (2, "succeeded", 2)]


async def test_a_stream_waits_for_a_server_that_goes_away_and_says_so(tmp_path, feed):
    async with Proxy(feed.url) as proxy:
        made = streaming(tmp_path, extract=polled(proxy.url))

        async def put(numbers: range) -> None:
            feed.add(*numbers)

        await outlives_its_source(made, proxy, put)


async def test_a_killed_stream_asks_again_from_the_last_cursor_that_was_kept(tmp_path, feed):
    feed.most = 7
    made = streaming(tmp_path, extract=polled(feed.url), window={"every": "1h", "records": 25})
    feed.add(*range(60))
    killed = await Command.begin(made.folder, "run", "pipeline.yaml")
    assert await killed.reach(lambda: len(ids_loaded(made)) >= 10)
    await killed.kill()
    feed.add(*range(60, 70))
    async with opened(made) as stream:
        await stream.drained()
    assert ids_loaded(made) == ids(range(70))
    assert [records for _, _, records in windows(made)] == [25, 25, 20]


async def test_a_pipeline_that_is_no_stream_is_told_that_it_cannot_poll(tmp_path, feed):
    made = streaming(tmp_path, extract=polled(feed.url))
    made.say(mode="batch", window=None, batch=None)
    command = await Command.begin(made.folder, "validate", "pipeline.yaml")
    end = await command.end()
    assert end.code != 0
    assert "extract.options.long_poll" in end.out + end.err
    assert "nothing here without `mode: streaming`" in end.out + end.err
