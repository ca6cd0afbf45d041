"""Tests how many subscriptions a worker has."""

from __future__ import annotations

import pytest

from loom_common.worker.consuming.in_flight import WorkInFlight
from loom_common.worker.consuming.subscriptions import HIGH, MOST, TIGHT, subscriptions_wanted

PREFETCH = 8


@pytest.mark.parametrize(
    ("now", "messages", "left", "memory", "wanted"),
    [
        (1, 8, 8.0, 0.0, 1),  # as it usually is: each has most of its work before it
        (1, 8, 4.0, 0.0, 2),  # half is done, and the rest holds all that may be in flight
        (1, 7, 1.0, 0.0, 1),  # the queue gives no more
        (1, 8, 4.0, TIGHT, 1),  # no memory for it
        (2, 16, 4.0, 0.0, 3),
        (2, 16, 9.0, 0.0, 2),
        (2, 15, 4.0, 0.0, 2),
        (MOST, 8 * MOST, 0.5, 0.0, MOST),
        (3, 24, 16.5, 0.0, 2),  # more to do than there should be at once
        (3, 24, 16.5, TIGHT, 2),
        (3, 24, 4.0, TIGHT, 3),
        (3, 24, 4.0, HIGH, 1),  # the prefetch limit is for all messages together
        (3, 8, 8.0, 0.0, 2),  # nothing comes
        (2, 4, 0.1, 0.0, 1),
        (1, 0, 0.0, 0.0, 1),
    ],
)
def test_there_are_as_many_subscriptions_as_keep_the_worker_busy(now, messages, left, memory, wanted):
    assert subscriptions_wanted(now, PREFETCH, WorkInFlight(messages, left), memory) == wanted


@pytest.mark.parametrize(
    ("now", "messages", "parts_each", "wanted"),
    [
        (1, 8, 50, 1),  # 400 records in flight for 100 at once
        (1, 8, 10, 2),  # 80 are too few
        (1, 7, 10, 1),  # but the queue gives no more
        (2, 16, 10, 2),  # 160 are enough
        (3, 24, 10, 3),  # more than enough, but not so many that one would be released
        (5, 40, 10, 4),
        (MOST, MOST * PREFETCH, 1, MOST),
    ],
)
def test_there_are_as_many_as_hold_the_records_that_may_be_worked_on_at_once(now, messages, parts_each, wanted):
    work = WorkInFlight(messages, left=float(messages), parts_left=float(messages * parts_each), at_once=100)
    assert subscriptions_wanted(now, PREFETCH, work) == wanted
