"""Tests how runs are followed, over run state that is made up."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from loom_api import following
from loom_api.following import Following, News
from loom_common.errors import DependencyUnavailable, NotFound
from loom_dev.waiting import within


class State:
    """Holds how a run stands, and counts how often it was looked at."""

    def __init__(self) -> None:
        self.news = news(1)
        self.looks = 0
        self.trouble: Exception | None = None

    async def look(self, _run_id: str) -> News:
        self.looks += 1
        if self.trouble is not None:
            raise self.trouble
        return self.news


def news(number: int, status: str = "running") -> News:
    return News(f"id{number}", status, status == "succeeded", {"number": number, "status": status})


def read(event: bytes) -> tuple[str, int]:
    """Return the name of an event and the number in its data."""
    lines = dict(line.split(": ", 1) for line in event.decode().strip().split("\n"))
    document: dict[str, Any] = orjson.loads(lines["data"])
    assert lines["id"] == f"id{document['number']}"
    return lines["event"], document["number"]


@pytest.fixture
async def state(monkeypatch):
    made = State()
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.001)
    async with within(5):
        yield made


async def test_each_state_of_a_run_is_told_until_it_has_ended(state):
    stream = Following(state.look).stream("run_1", state.news, None, asyncio.Event())
    assert read(await anext(stream)) == ("progress", 1)
    for number, status, name in (
        (2, "running", "progress"),
        (3, "paused", "status"),
        (4, "running", "status"),
        (5, "succeeded", "finished"),
    ):
        state.news = news(number, status)
        assert read(await anext(stream)) == (name, number)
    assert [each async for each in stream] == []


async def test_what_a_client_has_seen_is_not_told_again(state):
    stream = Following(state.look).stream("run_1", state.news, "id1", asyncio.Event())
    coming = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    state.news = news(2)
    assert read(await coming) == ("progress", 2)
    await stream.aclose()


async def test_all_who_follow_a_run_share_one_query(state):
    shared = Following(state.look)
    streams = [shared.stream("run_1", state.news, None, asyncio.Event()) for _ in range(50)]
    assert [read(await anext(each)) for each in streams] == [("progress", 1)] * 50
    before = state.looks
    state.news = news(2, "succeeded")
    assert [read(await anext(each)) for each in streams] == [("finished", 2)] * 50
    assert state.looks - before < 25
    for each in streams:
        assert [left async for left in each] == []
    ended = state.looks
    await asyncio.sleep(0.01)
    assert state.looks == ended


async def test_a_stream_without_news_says_that_it_is_alive(state, monkeypatch):
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", 0.01)
    stream = Following(state.look).stream("run_1", state.news, "id1", asyncio.Event())
    assert await anext(stream) == b": \n\n"
    state.trouble = DependencyUnavailable("away")
    assert await anext(stream) == b": \n\n"
    state.trouble, state.news = None, news(2)
    async with within(10, "news"):
        while (told := await anext(stream)) == b": \n\n":
            pass
    assert read(told) == ("progress", 2)
    await stream.aclose()


@pytest.mark.parametrize("end", ["stop", "gone"])
async def test_a_stream_ends_with_the_server_and_with_what_it_tells_of(state, end):
    stop = asyncio.Event()
    stream = Following(state.look).stream("run_1", state.news, None, stop)
    await anext(stream)
    if end == "stop":
        stop.set()
    else:
        state.trouble = NotFound("There is no run run_1.")
    left = [each async for each in stream]
    assert left in ([], [b": \n\n"])
