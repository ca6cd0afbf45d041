"""Tests what is taken of objects that appear in a bucket, which a listing made for the test holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import AccessRefused, InvalidDefinition, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.watched import waiting
from loom_connectors.watched.listing import Listed
from loom_connectors.watched.opening import open_stream
from loom_connectors.watched.taken import TakenFiles
from support.clocks import ManualClock
from support.watched_buckets import HOUR, PACE, Bucket, numbers, taken, watching


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let nothing be waited for: what is not there now is not there."""
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)


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
