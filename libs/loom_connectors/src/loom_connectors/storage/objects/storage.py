"""Implements objects of S3, Google Cloud Storage and Azure Blob Storage as a `Storage`."""

from __future__ import annotations

from loom_common.domain.values.destination_names import sample_file
from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.storage.objects.address import Address
from loom_connectors.storage.objects.files import ObjectInputs
from loom_connectors.storage.objects.result import ObjectResult


class ObjectStorage:
    """Stores files in buckets."""

    def inputs(self, location: str, context: ConnectorContext) -> ObjectInputs:
        return ObjectInputs(Address.of(location, context))

    def result(self, location: str, context: ConnectorContext) -> ObjectResult:
        address = Address.of(location, context)
        folder, slash, name = address.key.rpartition("/")
        if not name:
            raise ConfigurationError(f"load.destination: {address.root}/{address.key} is a folder; name one object.")
        key = f"{folder}{slash}{sample_file(name)}" if context.sample else address.key
        return ObjectResult(address.store(), address.root, key)
