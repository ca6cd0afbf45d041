"""Tests how messages that a stream has taken of a queue are answered for: together, but never those of others."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from loom_connectors.rabbitmq.stream_consumer import Taken


@dataclass
class Channel:
    """Notes what it is told of messages."""

    told: list[tuple[str, int, bool]] = field(default_factory=list)

    async def basic_ack(self, tag: int, *, multiple: bool = False) -> None:
        self.told.append(("ack", tag, multiple))

    async def basic_nack(self, tag: int, *, multiple: bool = False, requeue: bool = False) -> None:
        assert requeue
        self.told.append(("nack", tag, multiple))


def taken(channel: Channel, unanswered: set[int], *tags: int) -> Taken:
    delivered: list[Any] = [SimpleNamespace(delivery_tag=tag) for tag in tags]
    return Taken(channel, delivered, unanswered)  # type: ignore[arg-type]  # a channel in what is asked of it


@pytest.mark.parametrize(("answer", "word"), [("acknowledge", "ack"), ("give_back", "nack")])
async def test_messages_are_answered_for_together_also_while_later_ones_are_held(answer, word):
    channel, unanswered = Channel(), {1, 2, 3, 4, 5}
    await getattr(taken(channel, unanswered, 1, 2, 3), answer)()
    await getattr(taken(channel, unanswered, 4, 5), answer)()
    assert channel.told == [(word, 3, True), (word, 5, True)]


@pytest.mark.parametrize(("answer", "word"), [("acknowledge", "ack"), ("give_back", "nack")])
async def test_each_is_answered_for_alone_while_earlier_ones_are_held(answer, word):
    channel, unanswered = Channel(), {1, 2, 3}  # the first was taken by somebody who has not kept it yet
    await getattr(taken(channel, unanswered, 3, 2), answer)()
    assert channel.told == [(word, 2, False), (word, 3, False)]
    assert unanswered == {1}


async def test_nothing_is_told_where_nothing_came():
    channel = Channel()
    await taken(channel, set()).acknowledge()
    assert channel.told == []
