"""What a worker has in hand, and when it takes more than it was told to begin with."""

from __future__ import annotations

import pytest

from loom_common.worker import in_flight
from loom_common.worker.in_flight import MOST, InFlightMessage, subscriptions_wanted
from loom_common.worker.stats import ConsumerStats

QUEUE = "loom.load"
SIZE = 8


@pytest.mark.parametrize(
    ("now", "in_hand", "left", "tight", "wanted"),
    [
        (1, 8, 8.0, False, 1),  # as it usually is: each has most of its work before it
        (1, 8, 4.0, False, 2),  # half is done, and the rest holds every hand
        (1, 7, 1.0, False, 1),  # the queue gives no more
        (1, 8, 4.0, True, 1),  # no memory for it
        (2, 16, 4.0, False, 3),
        (2, 16, 9.0, False, 2),
        (2, 15, 4.0, False, 2),
        (MOST, 8 * MOST, 0.5, False, MOST),
        (3, 24, 16.5, False, 2),  # more to do than there should be at once
        (3, 24, 16.5, True, 2),
        (3, 8, 8.0, False, 2),  # nothing comes
        (2, 4, 0.1, False, 1),
        (1, 0, 0.0, False, 1),
    ],
)
def test_there_are_as_many_handfuls_as_keep_the_worker_busy(now, in_hand, left, tight, wanted):
    assert subscriptions_wanted(now, SIZE, in_hand, left, tight=tight) == wanted


def test_what_is_left_of_a_message_is_told_as_it_becomes_less():
    less = []
    hand = InFlightMessage(less.append)
    hand.begin(4)
    for _ in range(3):
        hand.one_done()
    assert (hand.left, sum(less)) == (0.25, 0.75)
    hand.begin(2)  # some of it again
    assert (hand.left, sum(less)) == (1.0, 0.0)
    for _ in range(5):
        hand.one_done()
    assert (hand.left, sum(less)) == (0.0, 1.0)


def test_one_record_that_takes_long_makes_no_batch_slow(monkeypatch):
    now = 100.0
    monkeypatch.setattr(in_flight, "monotonic", lambda: now)
    vitals, hand = ConsumerStats(QUEUE), InFlightMessage()
    with vitals.timed(hand):
        hand.begin(10)
        now += 1
        for _ in range(9):
            hand.one_done()
        now += 20
    assert vitals.worked == pytest.approx(0.9 * 1 + 0.1 * 21)
    before, hand = vitals.worked, InFlightMessage()
    with vitals.timed(hand):  # nobody said how far it was
        now += 2
    assert vitals.worked - before == pytest.approx(2.0)
