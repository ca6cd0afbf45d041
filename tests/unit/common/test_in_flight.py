"""What a worker has in flight, counted by what is left to do of it."""

from __future__ import annotations

import pytest

from loom_common.worker.consuming import in_flight
from loom_common.worker.consuming.in_flight import InFlightMessage, InFlightMessages, WorkInFlight
from loom_common.worker.consuming.stats import ConsumerStats

QUEUE = "loom.load"


def test_what_is_left_of_a_message_is_told_as_it_becomes_less():
    less = []
    message = InFlightMessage(less.append)
    message.begin(4)
    for _ in range(3):
        message.one_done()
    assert (message.left, sum(less)) == (0.25, 0.75)
    message.begin(2)  # some of it again
    assert (message.left, sum(less)) == (1.0, 0.0)
    for _ in range(5):
        message.one_done()
    assert (message.left, sum(less)) == (0.0, 1.0)


def test_one_record_that_takes_long_makes_no_batch_slow(monkeypatch):
    now = 100.0
    monkeypatch.setattr(in_flight, "monotonic", lambda: now)
    stats, hand = ConsumerStats(QUEUE), InFlightMessage()
    with stats.timed(hand):
        hand.begin(10)
        now += 1
        for _ in range(9):
            hand.one_done()
        now += 20
    assert stats.worked == pytest.approx(0.9 * 1 + 0.1 * 21)
    before, hand = stats.worked, InFlightMessage()
    with stats.timed(hand):  # nobody said how far it was
        now += 2
    assert stats.worked - before == pytest.approx(2.0)


def test_messages_count_in_parts_where_their_handlers_say_how_many_may_be_worked_on_at_once():
    messages = InFlightMessages()
    with messages.one() as first:
        assert messages.work == WorkInFlight(messages=1, left=1.0)
        first.begin(8, at_once=40)
        with messages.one() as second:  # of which nothing is known yet: it is taken to be like the other
            assert messages.work == WorkInFlight(messages=2, left=2.0, parts_left=16.0, at_once=40)
            second.begin(16, at_once=100)
            for _ in range(8):
                second.one_done()
            assert messages.work == WorkInFlight(messages=2, left=1.5, parts_left=18.0, at_once=100)
        assert messages.work == WorkInFlight(messages=1, left=1.0, parts_left=8.0, at_once=40)
    assert messages.work == WorkInFlight(messages=0, left=0.0)
