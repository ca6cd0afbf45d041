"""Tests what a stream gives to those who read it beside one another, and what is said where it cannot be read."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.errors import AccessRefused, DependencyUnavailable, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.watched.opening import open_stream
from loom_dev.waiting import within
from support.redis_streams import entries, streams_at


@pytest.fixture
async def streams(redis_url):
    async with streams_at(redis_url) as streams:
        yield streams


@pytest.fixture
async def opened(redis_url, tmp_path):
    """Open the stream for a reader, by the URL of the test or another one. All are closed after the test."""
    made = []

    def open_for(reader: str | None, url: str = redis_url, *, size: int = 3, wait: float = 0.0, **options: Any):
        credentials = Credentials({"env": EnvProvider({"REDIS": url})})
        context = ConnectorContext(tmp_path, credentials, reader=reader)
        config = ExtractConfig(source="${REDIS}?stream=tickets", options=options)
        made.append(open_stream(config, context, Pace(wait, size, None, alone=False)))
        return made[-1]

    yield open_for
    for each in made:
        await each.close()


def ids_of(source, received) -> list[str]:
    return [record.data["id"] for each in received.messages for record in source.records_of(each.body, "")]


async def test_those_who_read_one_stream_by_turns_take_each_entry_once(streams, opened):
    one, other = opened("stream-1", prefetch=3), opened("stream-1", prefetch=2)
    await streams.put("tickets", *entries(range(8)))
    taken: list[str] = []
    for source in cycle((one, other)):
        received = await source.receive(None, 100)
        taken += ids_of(source, received)
        await received.acknowledge()
        if len(taken) >= 8:
            break
    assert taken == [each["id"] for each in entries(range(8))]
    assert await streams.left("tickets") == 0


async def test_what_a_reader_was_given_that_died_comes_first_for_whoever_goes_on(streams, opened):
    await streams.put("tickets", *entries(range(4)))
    lost = await opened("stream-1", prefetch=3).receive(None, 100)
    received = await opened("stream-1").receive(None, 100)
    assert [each.identity for each in received.messages] == [each.identity for each in lost.messages]


async def test_what_another_consumer_holds_is_taken_over_after_a_time_and_not_before(streams, opened):
    await streams.put("tickets", *entries(range(3)))
    await opened("died").receive(None, 2)
    patient = opened("stream-1", claim_after="1h")
    assert ids_of(patient, await patient.receive(None, 2)) == ["t00002"]
    source = opened("stream-2", claim_after="1ms")
    received = await source.receive(None, 100)
    assert ids_of(source, received) == ["t00000", "t00001", "t00002"]
    await received.acknowledge()
    assert await streams.left("tickets") == 0


async def test_what_is_given_back_is_taken_by_the_next_at_once(streams, opened):
    await streams.put("tickets", *entries(range(3)))
    await (await opened("stream-1").receive(None, 100)).give_back()
    other = opened("stream-2", claim_after="1h")
    assert len((await other.receive(None, 100)).messages) == 3


async def test_an_entry_waits_for_others_until_a_batch_is_full(streams, opened):
    source = opened("stream-1", size=3, wait=60.0)
    taking = asyncio.create_task(source.receive(None, 100))
    for number in range(3):
        await streams.put("tickets", *entries([number]))
    async with within(20):
        assert len((await taking).messages) == 3


async def test_an_entry_that_was_removed_before_it_was_kept_holds_nobody_up(streams, opened):
    await streams.put("tickets", *entries(range(3)))
    await opened("stream-1").receive(None, 2)
    await streams.redis.xtrim("tickets", maxlen=1, approximate=False)
    source = opened("stream-1")
    assert ids_of(source, await source.receive(None, 100)) == ["t00002"]


async def test_a_group_begins_where_it_is_told_to_and_again_after_its_stream_was_deleted(streams, opened):
    await streams.put("tickets", *entries(range(2)))
    source = opened("stream-1", start="end", size=1)
    assert await source.count() == 0
    assert not (await source.receive(None, 100)).messages
    await streams.put("tickets", *entries([2]))
    received = await source.receive(None, 100)
    assert ids_of(source, received) == ["t00002"]
    await received.acknowledge()
    await streams.redis.delete("tickets")
    await source.receive(None, 100)
    await streams.put("tickets", *entries([3]))
    assert ids_of(source, await source.receive(None, 100)) == ["t00003"]


async def test_what_cannot_be_read_is_said_in_looms_words(streams, opened, redis_url):
    with pytest.raises(AccessRefused, match=r"refuses the stream 'tickets'.*user and password") as raised:
        await opened("stream-1", redis_url.replace("redis://:", "redis://:wrong-password")).check()
    assert "wrong-password" not in str(raised.value)
    await streams.redis.set("tickets", "text")
    for ask in (opened("stream-1").check, lambda: opened("stream-1").receive(None, 1)):
        with pytest.raises(SourceError, match="something else than a stream under the key 'tickets'"):
            await ask()
    user, password = "reader_of_nothing", "a-password-of-its-own"
    await streams.redis.acl_setuser(user, enabled=True, passwords=[f"+{password}"], commands=["+ping"])
    try:
        with pytest.raises(AccessRefused, match="commands of consumer groups") as raised:
            await opened(
                "stream-1", redis_url.replace("://:", f"://{user}:").replace(_password(redis_url), password)
            ).check()
        assert password not in str(raised.value)
    finally:
        await streams.redis.acl_deluser(user)
    with pytest.raises(DependencyUnavailable, match=r"127\.0\.0\.1:1/0 cannot be reached"):
        await opened("stream-1", "redis://127.0.0.1:1/0").check()


def _password(url: str) -> str:
    return url.partition("://:")[2].partition("@")[0]
