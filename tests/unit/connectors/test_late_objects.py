"""Tests that objects are found which appear with a time that lies before what was read, each once."""

from __future__ import annotations

import json
import random

import pytest

from loom_connectors.watched import waiting
from support.clocks import ManualClock
from support.watched_buckets import HOUR, Bucket, numbers, taken, watching


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let nothing be waited for: what is not there now is not there."""
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)


@pytest.mark.parametrize(("begun", "expected"), [(HOUR, [2]), (HOUR + 1, [])])
async def test_an_object_that_appears_late_is_read_within_the_lag_by_who_has_not_looked_before(begun, expected):
    bucket = Bucket()
    bucket.put("a", 10 * HOUR, 1)
    _, state = await taken(watching(bucket))
    bucket.put("upload", 10 * HOUR - begun, 2)
    assert numbers((await taken(watching(bucket), state))[0]) == expected


async def test_an_object_that_appears_later_than_the_lag_is_read_once_and_said_by_who_has_looked_before(capsys):
    bucket, clock = Bucket(), ManualClock()
    bucket.put("old", HOUR, 0)
    bucket.put("a", 10 * HOUR, 1)
    one, another = watching(bucket, clock), watching(bucket, clock)
    _, state = await taken(one)
    for source in (one, another):  # it finds nothing, and remembers what is there
        clock.pass_time(11)
        assert await taken(source, state) == ([], state)
    bucket.put("upload", 5 * HOUR, 2)
    clock.pass_time(11)
    found, state = await taken(another, state)
    assert numbers(found) == [2]
    clock.pass_time(11)
    for source in (one, another):
        assert await taken(source, state) == ([], state)
    assert "a file appeared late, and is read" in "".join(capsys.readouterr())


async def test_nothing_counts_as_late_for_who_has_not_looked_for_longer_than_the_lag():
    bucket, clock = Bucket(), ManualClock()
    bucket.put("a", 10 * HOUR, 1)
    one, another = watching(bucket, clock), watching(bucket, clock)
    _, state = await taken(one)
    clock.pass_time(11)
    assert await taken(one, state) == ([], state)
    bucket.put("b", 10 * HOUR + 1, 2)  # read by another process, and forgotten since
    bucket.put("c", 12 * HOUR, 3)
    found, state = await taken(another, state)
    assert numbers(found) == [2, 3]
    clock.pass_time(11)
    assert await taken(one, state) == ([], state)


@pytest.mark.parametrize("seed", range(40))
async def test_processes_that_take_turns_and_lose_answers_read_each_object_once(seed):
    dice = random.Random(seed)
    bucket, clock = Bucket(most=dice.choice((1, 3, 100)), lag=50), ManualClock()
    processes = [watching(bucket, clock) for _ in range(3)]
    state, now, put, found = None, 100, 0, []
    late: set[int] = set()
    for step in range(200):
        now += dice.choice((0, 0, 1, 5))
        if step < 120 and dice.random() < 0.6:
            age = dice.choice((0, 0, 1, 20, 50, 51, 80))
            late |= {put, put + 1} if age > 50 else set()
            bucket.put(f"o{dice.random()}", now - age, put, put + 1)
            put += 2
        clock.pass_time(dice.choice((0.0, 1.0, 11.0)))
        if dice.random() < 0.1:
            processes[dice.randrange(3)] = watching(bucket, clock)
        source = dice.choice(processes)
        received = await source.receive(state, dice.choice((1, 3, 50)))
        if dice.random() < 0.8:  # else its process was killed before the page was kept
            state = json.loads(json.dumps(received.state))
            found += [record for each in received.messages for record in source.records_of(each.body, "")]
    clock.pass_time(11.0)
    found += (await taken(watching(bucket, clock), state))[0]
    assert len(set(numbers(found))) == len(found)
    assert set(range(put)) - set(numbers(found)) <= late  # which processes may have seen that had looked before


@pytest.mark.parametrize("seed", range(10))
async def test_a_process_that_goes_on_looking_reads_each_object_however_late_it_appears(seed):
    dice = random.Random(seed)
    bucket, clock = Bucket(most=dice.choice((1, 3, 100)), lag=50), ManualClock()
    source = watching(bucket, clock)
    found, state = await taken(source)
    bucket.put("first", 1000, 0)
    clock.pass_time(11.0)
    found, state = await taken(source, state)
    for step in range(1, 150):
        clock.pass_time(11.0)
        none, state = await taken(source, state)
        assert none == []
        bucket.put(f"o{step}", 1000 + step - dice.choice((0, 1, 50, 200, 900)), step)
        clock.pass_time(11.0)
        more, state = await taken(source, state)
        found += more
    assert numbers(found) == list(range(150))
    assert len(state["late"]) <= 50
