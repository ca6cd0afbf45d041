"""Tests what a real broker makes of messages that are written to its socket at once."""

from __future__ import annotations

import asyncio

import pytest

from loom_common.adapters.amqp.connection import AmqpConnection
from loom_common.ports.bus import Wire
from loom_dev.waiting import within
from support.proxy import Proxy


@pytest.fixture
async def link(amqp_url):
    link = await AmqpConnection.open(amqp_url, name="test", patience=10)
    yield link
    await link.close()


@pytest.fixture
async def queue(link):
    async with link.errand(10) as channel:
        await channel.queue_declare("q", durable=True)
    return "q"


async def bodies(link, queue: str) -> list[bytes]:
    taken = list[bytes]()
    async with link.errand(10) as channel:
        while (message := await channel.basic_get(queue, no_ack=True)).body:
            taken.append(message.body)
    return taken


@pytest.mark.parametrize("more", [-1, 0, 1, 131_072])
async def test_a_message_of_several_frames_arrives_as_it_was(link, queue, more):
    outlet = await link.publishing_channel()
    body = b"x" * (outlet.largest_part - 1 + more) + b"y"
    async with within(10):
        assert await outlet.send([Wire("", queue, body)]) == []
    assert await bodies(link, queue) == [body]


async def test_what_cannot_be_encoded_is_raised_and_takes_no_confirm_of_another_message(link, queue):
    outlet = await link.publishing_channel()
    async with within(10):
        with pytest.raises(ValueError, match="255"):
            await outlet.send([Wire("", queue, b"1"), Wire("", "k" * 300, b"2"), Wire("", queue, b"3")])
        assert await outlet.send([Wire("", queue, b"4"), Wire("", queue, b"5")]) == []
    assert await bodies(link, queue) == [b"1", b"3", b"4", b"5"]


async def test_messages_without_an_id_that_reach_no_queue_fail_each_for_itself(link, queue):
    outlet = await link.publishing_channel()
    messages = [Wire("", key, key.encode()) for key in (queue, "nowhere", queue, "nobody")]
    async with within(10):
        failures = await outlet.send(messages)
    assert [message.body for message, _ in failures] == [b"nowhere", b"nobody"]


async def test_messages_whose_confirms_are_lost_with_the_connection_fail_and_may_be_sent_on_the_next_one(amqp_url):
    async with Proxy(amqp_url) as network, within(10):
        link = await AmqpConnection.open(network.url, name="test", patience=10)
        async with link.errand(10) as channel:
            await channel.queue_declare("q", durable=True)
        outlet = await link.publishing_channel()
        network.swallow()
        sending = asyncio.create_task(outlet.send([Wire("", "q", b"1"), Wire("", "q", b"2")]))
        await asyncio.sleep(0)
        network.let_through()
        network.reset()
        assert [message.body for message, _ in await sending] == [b"1", b"2"]
        assert len(await outlet.send([Wire("", "q", b"3")])) == 1
        another = await link.publishing_channel()
        assert await another.send([Wire("", "q", b"4")]) == []
        assert await bodies(link, "q") == [b"4"]
        await link.close()
