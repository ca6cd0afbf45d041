"""Sees what lies in the buckets of the S3 server and of Google's emulator, or the container of Azure's, beside Loom's
connector."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import obstore
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from loom_dev.backends.seaweedfs import BUCKET
from loom_dev.emulators import google_storage
from loom_dev.emulators.azurite import CONTAINER

KEYS = "?endpoint=${S3_ENDPOINT}&access_key_id=${S3_KEY}&secret_access_key=${S3_SECRET}&region=us-east-1"
"""Follows the name of an object; the variables are those of `SeaweedFS.environment`."""

GOOGLE_KEYS = "?endpoint=${GCS_ENDPOINT}&service_account_key=${GCS_KEY}"
"""Follows the name of an object of Google's; the variables are those of `GoogleStorage.environment`."""
AZURE_KEYS = "?endpoint=${AZURE_ENDPOINT}&account=${AZURE_ACCOUNT}&account_key=${AZURE_KEY}"
"""Follows the name of an object of Azure; the variables are those of `Azurite.environment`."""
OF_AZURE = bool(os.environ.get("LOOM_AZURE"))
"""Tells whether `make azure` asks for the cases that need Azurite, which npm installs."""


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
    """Return the folder of a test in the bucket of all tests, reached by the variables of `SeaweedFS.environment`,
    `GoogleStorage.environment` or `Azurite.environment`."""
    if "GCS_FOLDER" in environ:
        return Bucket(
            GCSStore(
                google_storage.BUCKET,
                prefix=environ["GCS_FOLDER"],
                config={"service_account_key": environ["GCS_KEY"], "base_url": environ["GCS_ENDPOINT"]},
                client_options={"allow_http": True},
            )
        )
    if "AZURE_FOLDER" in environ:
        return Bucket(
            AzureStore(
                CONTAINER,
                prefix=environ["AZURE_FOLDER"],
                account_name=environ["AZURE_ACCOUNT"],
                account_key=environ["AZURE_KEY"],
                endpoint=environ["AZURE_ENDPOINT"],
                client_options={"allow_http": True},
            )
        )
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
