"""Tests what a topic gives to those who read it, what its group is told, and what is said where it cannot be read."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import time
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.errors import DependencyUnavailable, SourceError
from loom_connectors import registry
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.watched.opening import open_stream
from loom_dev.waiting import within
from support.kafka_topics import Topics, member_of, tickets


@pytest.fixture
def topics(kafka_url) -> Topics:
    return Topics(kafka_url)


@pytest.fixture
async def topic(topics) -> str:
    return await topics.made()


@pytest.fixture
async def opened(kafka_url, topic, tmp_path):
    """Open the topic of the test, or another place, as a stream, or to its end. All are closed after the test."""
    made = []

    def open_one(place: str | None = None, *, stream: bool = True, size: int = 3, wait: float = 0.0, **options: Any):
        context = ConnectorContext(tmp_path, Credentials({"env": EnvProvider({"KAFKA": kafka_url})}))
        config = ExtractConfig(source=place or f"${{KAFKA}}/{topic}", options=options)
        pace = Pace(wait, size, None, alone=False)
        made.append(open_stream(config, context, pace) if stream else registry.open_source(config, context))
        return made[-1]

    yield open_one
    for each in made:
        await each.close()


def ids_of(source, received) -> list[str]:
    return sorted(record.data["id"] for each in received.messages for record in source.records_of(each.body, ""))


async def read_on(source, state, count: int) -> tuple[list[str], Any]:
    """Receive, and acknowledge, until so many messages came."""
    found: list[str] = []
    async with within(30):
        while len(found) < count:
            received = await source.receive(state, 100)
            found += ids_of(source, received)
            state = received.state
            await received.acknowledge()
    return sorted(found), state


def ids(numbers) -> list[str]:
    return [each["id"] for each in tickets(numbers)]


async def test_those_who_read_one_topic_by_turns_take_each_message_once(topics, topic, opened):
    await topics.put(topic, *tickets(range(20)))
    readers, state, found = [opened(prefetch=3), opened(prefetch=2)], None, []
    async with within(30):
        while len(found) < 20:
            readers.reverse()
            received = await readers[0].receive(state, 100)
            found += ids_of(readers[0], received)
            state = received.state
            await received.acknowledge()
    assert sorted(found) == ids(range(20))
    assert await topics.left(topic) == 0


async def test_what_is_given_back_is_given_again_and_committed_when_it_is_acknowledged(topics, topic, opened):
    await topics.put(topic, *tickets(range(4)), partition=0)
    source = opened()
    received = await source.receive(None, 100)
    await received.give_back()
    assert await topics.committed(topic) == {}
    again = await source.receive(None, 100)
    assert [each.identity for each in again.messages] == [each.identity for each in received.messages]
    await again.acknowledge()
    assert await topics.committed(topic) == {0: 4, 1: 0}


async def test_a_message_waits_for_others_until_a_batch_is_full(topics, topic, opened):
    source = opened(size=3, wait=60.0)
    received = await source.receive(None, 100)
    await topics.put(topic, *tickets([0]))
    taking = asyncio.create_task(source.receive(received.state, 100))
    for number in (1, 2):
        await topics.put(topic, *tickets([number]))
    async with within(20):
        assert ids_of(source, await taking) == ids(range(3))


async def test_a_reader_that_was_cancelled_passes_nothing_over(topics, topic, opened):
    source = opened()
    received = await source.receive(None, 100)
    for number in range(5):
        taking = asyncio.create_task(source.receive(received.state, 100))
        await asyncio.sleep(0.02 * number)
        taking.cancel()
        await topics.put(topic, *tickets([number]))
        await asyncio.gather(taking, return_exceptions=True)
    assert (await read_on(source, received.state, 5))[0] == ids(range(5))


async def test_a_group_begins_where_it_is_told_to(topics, topic, opened, kafka_url):
    await topics.put(topic, *tickets(range(2)))
    await asyncio.sleep(0.01)  # the next message is of a later millisecond
    moment = dt.datetime.now(dt.UTC)
    source = opened(start="end")
    assert await source.count() == 0
    received = await source.receive(None, 100)
    assert not received.messages
    await topics.put(topic, *tickets([2]))
    assert (await read_on(source, received.state, 1))[0] == ids([2])
    later = opened(f"{kafka_url}/{topic}?group=later", start=moment.isoformat())
    assert await later.count() == 1
    assert (await read_on(later, None, 1))[0] == ids([2])
    everything = opened(f"{kafka_url}/{topic}?group=new", stream=False)
    assert await everything.count() == 3


async def test_a_run_ends_where_the_topic_ended_when_it_began_and_the_next_goes_on_there(topics, topic, opened):
    await topics.put(topic, *tickets(range(5)), partition=0)
    first = opened(stream=False, prefetch=2)
    received = await first.receive(None, 100)
    await received.acknowledge()
    await topics.put(topic, *tickets(range(5, 9)), partition=0)
    found = ids_of(first, received)
    source = opened(stream=False)
    async with within(30):
        while not received.end:
            received = await source.receive(received.state, 100)
            found += ids_of(source, received)
            await received.acknowledge()
    assert sorted(found) == ids(range(5))
    assert await source.count() == 4
    assert (await read_on(opened(stream=False), None, 4))[0] == ids(range(5, 9))


async def test_messages_of_a_transaction_are_read_once_it_is_committed(topics, topic, opened):
    source, producer = opened(size=1), Producer({**topics.settings, "transactional.id": topic})
    await asyncio.to_thread(producer.init_transactions, 20)
    state = (await source.receive(None, 100)).state
    for ticket, end in ((0, producer.commit_transaction), (1, producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, orjson.dumps(tickets([ticket])[0]), partition=0)
        assert await asyncio.to_thread(producer.flush, 20) == 0
        assert not (await source.receive(state, 100)).messages
        await asyncio.to_thread(end, 20)
        _, state = await read_on(source, state, 1 - ticket)
    assert state["offsets"] == {"0": 1, "1": 0}
    run = await opened(stream=False).receive(None, 100)
    assert (run.end, run.messages) == (True, [])


async def test_a_look_commits_nothing(topics, topic, opened):
    await topics.put(topic, *tickets(range(5)))
    page = await opened().read(None, 3)
    assert len(page.records) == 3
    assert await topics.committed(topic) == {}


async def test_offsets_that_are_gone_are_read_from_the_beginning(topics, topic, opened):
    await topics.put(topic, *tickets(range(3)), partition=0)
    source = opened()
    gone = {"topic": None, "offsets": {"0": 7, "1": 0}}
    found, state = await read_on(source, gone, 3)
    assert found == ids(range(3))
    assert state["offsets"] == {"0": 3, "1": 0}


async def test_partitions_that_are_new_are_read_from_their_beginning(topics, topic, opened):
    await topics.put(topic, *tickets(range(4)))
    found, state = await read_on(opened(start="end"), {"topic": None, "offsets": {"0": 2}}, 2)
    assert found == ids([1, 3])
    assert state["offsets"] == {"0": 2, "1": 2}


async def test_what_cannot_be_read_is_said_in_looms_words(topics, topic, opened, kafka_url):
    with pytest.raises(SourceError, match=r"has no topic 'nothing-here'. Create it"):
        await opened(f"{kafka_url}/nothing-here").check()
    with pytest.raises(DependencyUnavailable, match=r"127\.0\.0\.1:1 cannot be reached: .*Connection refused"):
        await opened("kafka://127.0.0.1:1/tickets").check()
    taken = f"of-{topic}"
    source = opened(f"{kafka_url}/{topic}?group={taken}")
    async with member_of(topics, topic, taken):
        for asked in (source.check(), source.receive(None, 1)):
            with pytest.raises(SourceError, match=rf"group '{taken}' .* members .* 1\. .* by a group of its own"):
                await asked


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
async def test_a_client_closes_within_seconds_while_its_broker_is_away(own_kafka, opened, ending):
    topics = Topics(own_kafka.url)
    topic = await topics.made()
    await topics.put(topic, *tickets(range(3)), partition=0)
    source = opened(f"{own_kafka.url}/{topic}")
    received = await source.receive(None, 100)
    os.kill(own_kafka.pid, ending)
    await received.acknowledge()
    with pytest.raises(DependencyUnavailable, match="cannot be reached"):
        await read_on(opened(f"{own_kafka.url}/{topic}"), received.state, 1)
    began = time.monotonic()
    await source.close()
    assert time.monotonic() - began < 15
    own_kafka.kill()
