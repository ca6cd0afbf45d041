"""Tests a stream on a cluster whose records arrive as objects of a bucket, which any extractor may read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loom_dev.backends.seaweedfs import BUCKET
from support.buckets import KEYS, Bucket, bucket_of
from support.cluster_streams import ClusterStream, ids_in, named, stream_on
from support.projects import review_ids


class Arriving:
    """Puts objects of five records each below a folder of the bucket."""

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self._bucket = bucket
        self._folder = folder
        self.records = 0
        self._objects = 0

    def put(self, objects: int) -> None:
        for _ in range(objects):
            lines = [json.dumps({"id": f"r{self.records + each:06}"}) + "\n" for each in range(5)]
            self._bucket.put(f"{self._folder}/o{self._objects:04}.jsonl", "".join(lines).encode())
            self._objects, self.records = self._objects + 1, self.records + 5


def watching(name: str, **options: Any) -> dict[str, Any]:
    source = f"s3://{BUCKET}/${{S3_FOLDER}}/{name}/*.jsonl{KEYS}"
    return {"source": source, "key": "id", "poll": "50ms", **options}


async def drained(stream: ClusterStream, arriving: Arriving) -> None:
    stream.arrived = arriving.records
    await stream.drained()


@pytest.mark.parametrize("killed", ["extractor", "coordinator"])
async def test_objects_of_a_bucket_are_read_once_by_whichever_extractor_while_one_is_killed(cluster, killed):
    name = named("bucket")
    arriving = Arriving(bucket_of(cluster.environ), name)
    async with cluster.scaled(extractor=2), stream_on(cluster, name, extract=watching(name)) as stream:
        arriving.put(6)
        await stream.until_loaded(10)
        cluster.kill(killed)
        arriving.put(6)
        await cluster.serve(extractor=2)
        await stream.until_loaded(arriving.records)
        arriving.put(2)
        await stream.until_loaded(arriving.records)
        await drained(stream, arriving)
    assert await ids_in(cluster, name) == review_ids(70)
