"""Tests that a waiting run says what for and until when."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from loom.cli.output.waits import Waits
from loom_common.domain.run import waiting_text
from loom_dev.waiting import within

NOON = dt.datetime(2026, 3, 1, 12, 0, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("words", "later", "expected"),
    [
        (
            waiting_text.away("transform", "model m", 60, NOON, "refused."),
            12,
            "in 48 s, at 12:01:00 UTC. ref",
        ),
        (waiting_text.away("transform", "model m", 60, NOON, "refused."), 75, "next probe in 0 s, at 12:01:00 UTC"),
        (waiting_text.delayed("load", 30, NOON, 2, "away"), 10, "load waits 20 s, at 12:00:30 UTC (attempt 2): away"),
        ("the budget is spent", 10, "the budget is spent"),
    ],
)
def test_a_notice_counts_down(words, later, expected):
    assert expected in waiting_text.counted_down(words, NOON + dt.timedelta(seconds=later))


def test_it_counts_down_across_midnight():
    late = dt.datetime(2026, 3, 1, 23, 59, 50, tzinfo=dt.UTC)
    words = waiting_text.delayed("load", 30, late, 2, "away")
    assert "waits 25 s, at 00:00:20 UTC" in waiting_text.counted_down(words, late + dt.timedelta(seconds=5))


AWAY = waiting_text.away("load", "the database", 60, NOON, "refused.")
WAITING = waiting_text.delayed("load", 30, NOON, 2, "away")


@pytest.mark.parametrize(
    ("words", "moved", "later", "expected"),
    [
        (AWAY, {"transform", "evaluate"}, 10, True),  # the transformer does not need the database
        (AWAY, {"load"}, 10, False),
        (WAITING, {"load"}, 10, True),  # another batch was loaded: this one waits all the same
        (WAITING, {"transform"}, 40, True),
        (WAITING, {"load"}, 40, False),
        ("something else", {"extract"}, 10, False),
    ],
)
def test_a_notice_stays_as_long_as_the_run_waits_for_that(words, moved, later, expected):
    assert waiting_text.still_true(words, moved, NOON + dt.timedelta(seconds=later)) is expected


LATER = NOON + dt.timedelta(seconds=5)
SOON = waiting_text.delayed("transform", 5, LATER, 1, "busy")
LONG = waiting_text.delayed("transform", 600, LATER, 4, "busy")
SAME = waiting_text.away("load", "the database", 55, LATER, "refused.")
OTHER = waiting_text.away("transform", "model m", 60, LATER, "refused.")


@pytest.mark.parametrize(
    ("standing", "new", "told"),
    [
        (None, SOON, SOON),
        (AWAY, SOON, AWAY),
        (AWAY, LONG, AWAY),
        (WAITING, SOON, WAITING),
        (WAITING, LONG, LONG),
        (WAITING, OTHER, OTHER),
        (AWAY, OTHER, OTHER),
        (AWAY, SAME, AWAY),  # only the seconds differ, which are counted down
        ("something else", SOON, SOON),
    ],
)
def test_of_two_notices_the_one_is_told_that_holds_up_the_run_for_longer(standing, new, told):
    assert waiting_text.to_tell(standing, new, LATER) == told


@pytest.mark.parametrize(
    ("words", "later", "passed"),
    [(AWAY, 59, False), (AWAY, 60, True), (WAITING, 31, True), ("the budget is spent", 3600, False)],
)
def test_the_time_that_a_notice_names_comes_to_pass(words, later, passed):
    assert waiting_text.has_passed(words, NOON + dt.timedelta(seconds=later)) is passed


async def test_a_pause_whose_time_has_come_is_not_said_a_second_time():
    said, lasting = [], asyncio.Event()

    def say(text: str) -> None:
        said.append(text)
        if said.count("the budget is spent") >= 3:
            lasting.set()

    waits = Waits(say, seconds=0.01)
    async with waits.counting_down():
        waits.heard(waiting_text.away("transform", "model m", 0, dt.datetime.now(dt.UTC), "refused."))
        await asyncio.sleep(0.05)
        waits.heard("the budget is spent")
        async with within(5):
            await lasting.wait()
    assert sum("model m is away" in line for line in said) == 1


async def test_a_notice_is_said_at_once_and_again_while_it_lasts():
    said, enough = [], asyncio.Event()

    def say(text: str) -> None:
        said.append(text)
        if len(said) >= 4:
            enough.set()

    waits = Waits(say, seconds=0.01)
    async with waits.counting_down():
        for _ in range(3):
            waits.heard("load waits")
        assert said == ["load waits"]
        async with within(5):
            await enough.wait()
        waits.heard(None)
        number = len(said)
        await asyncio.sleep(0.05)
        assert len(said) == number
