"""Tests which acknowledgements are sent together: never one that covers a message that is not acknowledged."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.adapters.amqp.acknowledgements import Acknowledgements


class Channel:
    """Notes what is sent, and what the broker makes of it."""

    def __init__(self, *tags):
        self.is_closed = False
        self.write_queue = asyncio.Queue()
        self.unacknowledged = set(tags)
        self.returned = set()
        self.sent = []
        self.delay = None

    async def basic_ack(self, tag, *, multiple, wait):
        self.sent.append((tag, multiple))
        self.unacknowledged -= {each for each in self.unacknowledged if each == tag or (multiple and each < tag)}

    async def basic_nack(self, tag, *, requeue, wait):
        if self.delay is not None:
            await self.delay.wait()
        self.sent.append((tag, "returned"))
        if tag in self.unacknowledged:
            self.unacknowledged.remove(tag)
            self.returned.add(tag)


def delivered(*tags):
    channel = Channel(*tags)
    acknowledgements = Acknowledgements(channel)
    for tag in tags:
        acknowledgements.arrived(tag)
    return channel, acknowledgements


@pytest.mark.parametrize(
    ("acknowledged", "sent"),
    [
        ((1, 2, 3), [(3, True)]),
        ((3, 1, 2), [(3, True)]),
        ((1, 3, 4), [(1, True), (3, False), (4, False)]),
        ((2, 3), [(2, False), (3, False)]),
    ],
)
async def test_those_of_one_moment_are_one_where_none_before_them_is_missing(acknowledged, sent):
    channel, acknowledgements = delivered(1, 2, 3, 4)
    for tag in acknowledged:
        acknowledgements.ack(tag)
    await acknowledgements.sent()
    assert channel.sent == sent
    assert channel.unacknowledged == {1, 2, 3, 4} - set(acknowledged)


async def test_an_acknowledgement_does_not_overtake_a_message_that_is_returned():
    channel, acknowledgements = delivered(1, 2)
    channel.delay = asyncio.Event()
    returning = asyncio.create_task(acknowledgements.nack(1))
    await asyncio.sleep(0)
    acknowledgements.ack(2)
    await acknowledgements.sent()
    channel.delay.set()
    await returning
    assert channel.sent == [(2, False), (1, "returned")]
    assert channel.returned == {1}


@given(st.lists(st.sets(st.integers(1, 12)), max_size=6))
def test_exactly_what_was_acknowledged_is_acknowledged(moments):
    async def settle():
        channel, acknowledgements = delivered(*range(1, 13))
        left = set(channel.unacknowledged)
        for moment in moments:
            for tag in moment & left:
                acknowledgements.ack(tag)
            left -= moment
            await acknowledgements.sent()
            assert channel.unacknowledged == left

    asyncio.run(settle())


async def test_fewer_than_half_the_prefetch_limit_wait_for_others_and_half_of_it_do_not():
    channel, acknowledgements = delivered(*range(1, 9))
    acknowledgements.prefetch = 8
    for tag in (1, 2, 3):
        acknowledgements.ack(tag)
    await turns()
    assert channel.sent == []
    acknowledgements.ack(4)
    await turns()
    assert channel.sent == [(4, True)]


async def test_those_that_wait_are_sent_though_no_others_come(monkeypatch):
    monkeypatch.setattr("loom_common.adapters.amqp.acknowledgements.HELD_SECONDS", 0.001)
    channel, acknowledgements = delivered(1, 2)
    acknowledgements.prefetch = 8
    acknowledgements.ack(1)
    async with asyncio.timeout(30):
        while not channel.sent:
            await asyncio.sleep(0.001)
    assert channel.sent == [(1, True)]


async def test_those_that_wait_are_sent_before_the_channel_is_closed():
    channel, acknowledgements = delivered(1, 2)
    acknowledgements.prefetch = 8
    acknowledgements.ack(1)
    await acknowledgements.sent()
    assert channel.sent == [(1, True)]


async def turns():
    """Let the event loop do what is ready."""
    for _ in range(3):
        await asyncio.sleep(0)
