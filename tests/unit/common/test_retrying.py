"""Tests records that their worker processes again."""

from __future__ import annotations

import pytest

from loom_common.domain.run.recovery import delay_within, pause_after
from loom_common.user_code.record_retry import retried
from support.clocks import ManualClock


class Work:
    """Fails each record so often, then does it."""

    def __init__(self, **failures: int) -> None:
        self._left = dict(failures)
        self.calls: list[tuple[list[str], int]] = []

    async def __call__(self, records, again):
        self.calls.append((list(records), again))
        return [self._one(record) for record in records]

    def _one(self, record):
        left = self._left.get(record, 0)
        self._left[record] = left - 1
        return f"{record} failed" if left > 0 else f"{record} done"


async def outcomes(work: Work, max_attempts: int, clock: ManualClock | None = None):
    return await retried(
        ["ann", "ben", "cid"],
        work,
        failed=lambda outcome: outcome.endswith("failed"),
        joined=lambda earlier, later: f"{earlier}, {later}",
        max_attempts=max_attempts,
        clock=clock or ManualClock(),
        jitter=lambda: 1.0,
    )


async def test_only_what_failed_is_tried_again_and_is_told_how_often():
    work = Work(ann=1, cid=2)
    assert await outcomes(work, 3) == ["ann failed, ann done", "ben done", "cid failed, cid failed, cid done"]
    assert work.calls == [(["ann", "ben", "cid"], 0), (["ann", "cid"], 1), (["cid"], 2)]


async def test_it_ends_after_the_last_attempt():
    assert (await outcomes(Work(ben=9), 3))[1] == "ben failed, ben failed, ben failed"


async def test_one_attempt_is_no_retry():
    clock = ManualClock()
    assert (await outcomes(Work(ben=9), 1, clock))[1] == "ben failed"
    assert clock.slept == []


async def test_the_pauses_double():
    clock = ManualClock()
    await outcomes(Work(ben=9), 5, clock)
    assert clock.slept == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("failed", "jitter", "seconds"),
    [(1, 1.0, 1.0), (1, 0.0, 0.5), (2, 1.0, 2.0), (6, 1.0, 32.0), (7, 1.0, 60.0), (20, 0.0, 30.0)],
)
def test_pauses_end_at_a_minute_and_are_spread(failed, jitter, seconds):
    assert pause_after(failed, jitter) == seconds


@pytest.mark.parametrize(
    ("seconds", "delay"), [(0.0, 5.0), (4.0, 5.0), (5.0, 5.0), (29.0, 5.0), (60.0, 30.0), (1e6, 600.0)]
)
def test_the_delay_ends_before_the_probe_where_one_does(seconds, delay):
    assert delay_within(seconds).delay == delay
