"""Tests how the objects of a bucket are listed for a stream, on a real S3 server."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import AccessRefused, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.watched.bucket import BucketListing
from loom_dev.backends.seaweedfs import BUCKET
from support.buckets import KEYS, Bucket, bucket_of


@pytest.fixture
def bucket(s3_environment) -> Bucket:
    return bucket_of(s3_environment)


@pytest.fixture
async def listing(s3_environment):
    """Provide what lists the objects of the bucket's folder `inbox`."""
    config = ExtractConfig(source=f"s3://{BUCKET}/${{S3_FOLDER}}/inbox/*.jsonl{KEYS}", key="id")
    opened = BucketListing(config, ConnectorContext(Path(), Credentials({"env": EnvProvider(s3_environment)})))
    yield opened
    await opened.close()


def test_an_object_is_there_as_long_as_it_is_the_one_that_was_listed(bucket, listing):
    bucket.put("inbox/a.jsonl", b'{"id": 1}\n')
    (file,) = listing.files()
    assert listing.is_there(file.path, file.version)
    bucket.put("inbox/a.jsonl", b'{"id": 2}\n')  # as long as before
    assert not listing.is_there(file.path, file.version)
    assert listing.is_there(file.path, None)
    obstore.delete(bucket.store, "inbox/a.jsonl")
    assert not listing.is_there(file.path, None)


async def test_an_object_that_has_been_written_again_is_not_read_for_the_one_that_was_listed(bucket, listing):
    bucket.put("inbox/a.jsonl", b'{"id": 1}\n')
    (file,) = listing.files()
    first = listing.opened(file.path, file.version)
    assert [each.data for each in (await first.read(None, 10)).records] == [{"id": 1}]
    await first.close()
    bucket.put("inbox/a.jsonl", b'{"id": 2}\n')
    changed = listing.opened(file.path, file.version)
    with pytest.raises((SourceError, FileNotFoundError)):
        await changed.read(None, 10)
    await changed.close()


def test_keys_that_are_refused_are_the_fault_of_no_single_object(listing):
    assert listing.is_of_one_file(SourceError("it is no JSON"))
    assert not listing.is_of_one_file(AccessRefused("the store refused the keys"))
