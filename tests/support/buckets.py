"""Sees what lies in the bucket of the S3 server, beside Loom's connector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import obstore
from obstore.store import ObjectStore, S3Store

from loom_dev.backends.seaweedfs import BUCKET

KEYS = "?endpoint=${S3_ENDPOINT}&access_key_id=${S3_KEY}&secret_access_key=${S3_SECRET}&region=us-east-1"
"""Follows the name of an object; the variables are those of `SeaweedFS.environment`."""


@dataclass(frozen=True)
class Bucket:
    """Represents a bucket."""

    store: ObjectStore

    def put(self, path: str, content: bytes) -> None:
        obstore.put(self.store, path, content)

    def content(self, path: str) -> bytes | None:
        """Return an object; None where it is not there."""
        try:
            return bytes(obstore.get(self.store, path).bytes())
        except FileNotFoundError:
            return None

    def paths(self) -> list[str]:
        """Return the paths of all objects."""
        return [each["path"] for listed in obstore.list(self.store) for each in listed]


def bucket_of(environ: Mapping[str, str]) -> Bucket:
    """Return the folder of a test in the bucket of all tests, reached by the variables of `SeaweedFS.environment`."""
    return Bucket(
        S3Store(
            BUCKET,
            prefix=environ["S3_FOLDER"],
            endpoint=environ["S3_ENDPOINT"],
            access_key_id=environ["S3_KEY"],
            secret_access_key=environ["S3_SECRET"],
            region="us-east-1",
            client_options={"allow_http": True},
        )
    )
