"""Tests what is taken of objects that appear in a bucket, which a listing made for the test holds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.errors import AccessRefused, InvalidDefinition, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.watched import waiting
from loom_connectors.watched.files import WatchedFiles
from loom_connectors.watched.listing import Listed
from loom_connectors.watched.opening import open_stream
from loom_connectors.watched.taken import TakenFiles
from support.clocks import ManualClock

HOUR = 3600
PACE = Pace(wait_seconds=60.0, size=100, poll_seconds=None)


class Records:
    """Represents the source of one object."""

    def __init__(self, listing: Bucket, path: str, version: list[Any]) -> None:
        self._listing, self._path, self._version = listing, path, version

    async def read(self, cursor: Any, limit: int) -> Page:
        if (refused := self._listing.refused.get(self._path)) is not None:
            raise refused
        if not self._listing.is_there(self._path, self._version):
            raise SourceError("it is another one by now")
        numbers = self._listing.numbers[self._path]
        start = cursor or 0
        found = [ReadRecord(f"{self._path} line {n}", {"n": n}) for n in numbers[start : start + limit]]
        return Page(found, start + len(found), end=start + len(found) >= len(numbers))

    async def close(self) -> None:
        return


class Bucket:
    """Represents a bucket as a `Listing`."""

    poll_seconds = 10.0
    place = "s3://bucket/in/*"

    def __init__(self, most: int = 1000, lag: int = HOUR) -> None:
        self.most, self.lag_seconds = most, lag
        self.objects: dict[str, Listed] = {}
        self.numbers: dict[str, list[int]] = {}
        self.refused: dict[str, Exception] = {}
        self.looks = 0

    def put(self, path: str, second: int, *numbers: int) -> None:
        self.objects[path] = Listed(path, second * 10**9, len(numbers), f"tag {numbers}")
        self.numbers[path] = list(numbers)

    def files(self) -> list[Listed]:
        self.looks += 1
        return list(self.objects.values())

    def opened(self, path: str, version: list[Any]) -> Records:
        return Records(self, path, version)

    def is_there(self, path: str, version: list[Any]) -> bool:
        return path in self.objects and self.objects[path].version == version

    def seconds_until_settled(self, file: Listed) -> float:
        return 0.0

    def is_of_one_file(self, error: Exception) -> bool:
        return not isinstance(error, AccessRefused)

    def shown(self, path: str) -> str:
        return path

    def position(self, path: str, position: str) -> str:
        return position


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let nothing be waited for: what is not there now is not there."""
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)


def watching(bucket: Bucket, clock: ManualClock | None = None) -> WatchedFiles:
    return WatchedFiles(bucket, PACE, clock or ManualClock())


async def taken(source: WatchedFiles, state: Any = None, limit: int = 1000) -> tuple[list[Any], Any]:
    """Return the records that are there now, in their order, and the state after them."""
    found: list[Any] = []
    while True:
        received = await source.receive(state, limit)
        found += [record for each in received.messages for record in source.records_of(each.body, "")]
        if received.state == state:
            return found, state
        state = json.loads(json.dumps(received.state))


def numbers(records: list[Any]) -> list[Any]:
    return [each.data["n"] if each.error is None else each.error.code for each in records]


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_objects_are_read_once_by_time_and_name(limit):
    bucket = Bucket(most=2)
    bucket.put("c", 5, 4, 5, 6)
    bucket.put("b", 7, 8)
    bucket.put("a", 7, 7)
    bucket.put("d", 1, 1, 2, 3)
    found, state = await taken(watching(bucket), limit=limit)
    assert numbers(found) == [1, 2, 3, 4, 5, 6, 7, 8]
    bucket.put("e", 7, 9)  # in the second of the newest one
    assert numbers((await taken(watching(bucket), state, limit))[0]) == [9]


async def test_small_objects_share_a_page_until_it_is_full():
    bucket = Bucket()
    for number in range(5):
        bucket.put(f"o{number}", number, number)
    received = await watching(bucket).receive(None, 3)
    assert len(received.messages) == 3
    assert bucket.looks == 1


@pytest.mark.parametrize(("begun", "expected"), [(HOUR, [2]), (HOUR + 1, [])])
async def test_an_object_that_appears_late_is_read_within_the_lag(begun, expected):
    bucket = Bucket()
    bucket.put("a", 10 * HOUR, 1)
    _, state = await taken(watching(bucket))
    bucket.put("upload", 10 * HOUR - begun, 2)
    assert numbers((await taken(watching(bucket), state))[0]) == expected


async def test_an_object_that_is_written_again_is_read_again():
    bucket = Bucket()
    bucket.put("a", 5, 1)
    _, state = await taken(watching(bucket))
    bucket.put("a", 5, 2)  # within the same second
    found, state = await taken(watching(bucket), state)
    assert numbers(found) == [2]
    assert await taken(watching(bucket), state) == ([], state)


async def test_an_object_that_changes_while_it_is_read_says_so_and_is_read_anew():
    bucket = Bucket()
    bucket.put("a", 5, 1, 2, 3)
    source = watching(bucket)
    state = (await source.receive(None, 2)).state
    bucket.put("a", 6, 4, 5)
    assert numbers((await taken(watching(bucket), state))[0]) == ["unreadable_file", 4, 5]


async def test_an_object_that_is_removed_leaves_a_trace_only_where_it_was_begun():
    bucket = Bucket()
    for path in ("a", "b"):
        bucket.put(path, 5, 1, 2)
    source = watching(bucket)
    state = (await source.receive(None, 1)).state
    bucket.objects.clear()
    assert numbers((await taken(source, state))[0]) == ["unreadable_file"]


async def test_an_object_that_cannot_be_read_is_one_bad_record_and_refused_keys_stop_the_stream():
    bucket = Bucket()
    for at, path in enumerate("abc"):
        bucket.put(path, at, at)
    source = watching(bucket)
    bucket.refused["a"] = SourceError("it is no text")
    bucket.refused["b"] = AccessRefused("no")
    with pytest.raises(AccessRefused):
        await source.receive(None, 10)
    del bucket.refused["b"]
    found, _ = await taken(source)
    assert numbers(found) == ["unreadable_file", 1, 2]
    assert "it is no text" in str(found[0].error)


async def test_a_quiet_bucket_is_listed_once_in_a_poll():
    bucket, clock = Bucket(), ManualClock()
    source = watching(bucket, clock)
    for _ in range(5):
        await source.receive(None, 10)
    assert bucket.looks == 1
    bucket.put("a", 1, 1)
    clock.pass_time(10.0)
    assert numbers((await taken(source))[0]) == [1]
    assert bucket.looks == 2


@pytest.mark.parametrize("seed", range(20))
async def test_processes_that_take_turns_and_lose_answers_read_each_object_once(seed):
    dice = random.Random(seed)
    bucket, clock = Bucket(most=dice.choice((1, 3, 100)), lag=50), ManualClock()
    processes = [watching(bucket, clock) for _ in range(3)]
    state, now, put, found = None, 100, 0, []
    for step in range(200):
        now += dice.choice((0, 0, 1, 5))
        if step < 120 and dice.random() < 0.6:
            bucket.put(f"o{dice.random()}", now - dice.choice((0, 0, 1, 20, 50)), put, put + 1)
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
    assert sorted(numbers(found)) == list(range(put))


def test_the_room_for_what_was_read_is_bounded_and_nothing_of_a_second_is_forgotten_alone():
    known = TakenFiles(None)
    files = [Listed(f"o{number}", number // 7 * 10**9, 1, None) for number in range(1000)]
    for file in files:
        assert not known.has(file)
        known.add(file, 40, most=50)
        assert sum(len(each.split()) for each in known.written()["taken"].values()) <= 50
    assert all(TakenFiles(known.written()).has(file) for file in files)
    least = known.written()["least"]
    assert 0 < files[-1].second - least < 8
    assert not known.has(Listed("late", least * 10**9, 1, None))
    assert known.has(Listed("later", least * 10**9 - 1, 1, None))


def test_ten_thousand_objects_in_an_hour_take_less_than_200_kb():
    known = TakenFiles(None)
    for number in range(10_000):
        known.add(Listed(f"in/{number}.jsonl", number * HOUR * 10**5, 1, "tag"), HOUR)
    assert len(json.dumps(known.written())) < 200_000


def test_what_was_kept_of_a_folder_by_an_earlier_version_is_still_known():
    kept = {"newest": 9 * 10**9 + 5, "taken": {"/in/a": [9 * 10**9 + 5, 3, 7]}, "file": None}
    known = TakenFiles(kept)
    assert known.has(Listed("/in/a", 9 * 10**9 + 5, 3, 7))
    assert not known.has(Listed("/in/a", 9 * 10**9 + 6, 4, 8))
    assert not known.has(Listed("/in/b", 8 * 10**9, 3, 7))


@pytest.mark.parametrize(
    ("source", "extract", "key", "words"),
    [
        ("s3://bucket/in.jsonl?anonymous=true", {}, "extract.source", "a folder or a pattern of objects"),
        ("s3://bucket/in/*.jsonl", {"settle": "1s"}, "extract.settle", "appears when all of it has been written"),
        ("in/*.jsonl", {"lag": "1h"}, "extract.lag", "it is for objects of a bucket"),
        ("amqp://host?queue=q", {"lag": "1h"}, "extract.lag", "it is for objects of a bucket"),
        ("https://host/in.jsonl", {}, "extract.source", "a source that can be read as a stream"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_its_place(source, extract, key, words):
    with pytest.raises(InvalidDefinition) as raised:
        open_stream(ExtractConfig(source=source, **extract), ConnectorContext(Path(), Credentials({})), PACE)
    (problem,) = raised.value.problems
    assert ".".join(map(str, problem.path)) == key
    assert words in str(problem)
