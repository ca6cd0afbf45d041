"""Tests streams whose records arrive as objects of a bucket, on a real S3 server."""

from __future__ import annotations

import json

import pytest

from loom_dev.backends.seaweedfs import BUCKET
from support.buckets import KEYS, Bucket, bucket_of
from support.command import Command
from support.projects import Project
from support.streamed import ids, ids_loaded, opened, state, streaming, windows

SOURCE = f"s3://{BUCKET}/${{S3_FOLDER}}/inbox/*.jsonl{KEYS}"
EXTRACT = {"source": SOURCE, "key": "id", "poll": "20ms"}


@pytest.fixture
def bucket(s3_environment, monkeypatch) -> Bucket:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return bucket_of(s3_environment)


@pytest.fixture
def made(tmp_path) -> Project:
    return streaming(tmp_path, extract=EXTRACT)


def put(bucket: Bucket, name: str, numbers: range, **more: object) -> None:
    lines = (json.dumps({"id": f"t{each:05}", **more}) for each in numbers)
    bucket.put(f"inbox/{name}.jsonl", "".join(f"{each}\n" for each in lines).encode())


async def test_a_killed_stream_goes_on_with_the_objects_that_nobody_has_read(made, bucket):
    for number in range(6):
        put(bucket, f"o{number}", range(4 * number, 4 * number + 4))
    bucket.put("inbox/_SUCCESS", b"no data")
    killed = await Command.begin(made.folder, "run", "pipeline.yaml")
    assert await killed.reach(lambda: len(ids_loaded(made)) >= 10)
    await killed.kill()
    put(bucket, "late", range(24, 27))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 27)
        put(bucket, "more", range(27, 30))
        await stream.until(lambda: len(ids_loaded(made)) == 30)
        await stream.drained()
    assert ids_loaded(made) == ids(range(30))
    assert sum(records for _, _, records in windows(made)) == 30
    assert len(windows(made)) >= 3


async def test_an_object_that_is_written_again_is_read_again_and_what_is_bad_is_kept_back(made, bucket):
    made.say(load={"destination": "sqlite:///out.db?table=t", "mode": "upsert", "key": "id"})
    put(bucket, "a", range(2))
    async with opened(made) as stream:
        await stream.until(lambda: len(ids_loaded(made)) == 2)
        bucket.put("inbox/b.jsonl", b'{"id": "x\xff"}\n')
        put(bucket, "a", range(1, 4))
        await stream.until(lambda: len(ids_loaded(made)) == 4)
        await stream.drained()
    assert ids_loaded(made) == ids(range(4))
    assert [(count, status) for _, status, count in windows(made)] == [(6, "succeeded")]
    assert state(made, "SELECT code FROM quarantined_records") == [("encoding",)]


def test_wrong_keys_are_told_before_the_stream_and_an_empty_bucket_is_fine(made, bucket, loom, monkeypatch):
    validated = loom("validate", "pipeline.yaml")
    assert validated.code == 0, validated.out
    put(bucket, "a", range(3))
    sampled = loom("run", "pipeline.yaml", "--sample", "2", "--format", "json")
    assert (sampled.code, sampled.report["records"]["loaded"]) == (0, 2)
    monkeypatch.setenv("S3_SECRET", "wrong-0123456789")
    refused = loom("validate", "pipeline.yaml")
    assert refused.code != 0
    assert "the store refused the keys" in " ".join((refused.out + refused.err).split())
    assert "wrong-0123456789" not in refused.out + refused.err
