"""Lists the objects of a bucket that match a pattern.

Stores tell when an object was written in whole seconds, and of a large one when its upload was begun. So objects appear
whose time lies before that of others, by as much as uploads take (`lag`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.values import durations
from loom_common.domain.values.urls import redacted
from loom_common.errors import AccessRefused, InvalidDefinition, Problem
from loom_connectors import registry
from loom_connectors.files.storage import FileState
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source
from loom_connectors.storage.objects.files import ObjectInputs
from loom_connectors.watched.listing import Listed

_LAG_SECONDS = 3600


class BucketListing:
    """Represents a folder of a bucket, or a pattern of objects, as a `Listing`."""

    poll_seconds = 10.0
    most = 10_000
    finds_late = True

    def __init__(self, config: ExtractConfig, context: ConnectorContext) -> None:
        self.lag_seconds = _LAG_SECONDS if config.lag is None else int(durations.seconds(config.lag))
        self._config = config
        self._context = context
        inputs = registry.inputs_of(config, context)
        assert isinstance(inputs, ObjectInputs)
        self._inputs = inputs
        self._whole = registry.open_source(config, context)
        if not inputs.several():
            expected = "in a stream, a folder or a pattern of objects: `s3://bucket/inbox/*.jsonl`"
            raise InvalidDefinition(
                [Problem(("extract", "source"), f"'{redacted(config.source)}', one object", expected)]
            )

    @property
    def place(self) -> str:
        return self._inputs.place

    def files(self) -> Iterator[Listed]:
        for file, written in self._inputs.listed():
            assert file.listed is not None
            yield Listed(file.key, int(written.timestamp() * 10**6) * 10**3, file.listed.size, file.listed.tag)

    def first(self) -> Source | None:
        """Return the source of one object: to open every one of them would cost as much as to read them."""
        found = next(iter(self.files()), None)
        return None if found is None else self.opened(found.path, found.version)

    def whole(self) -> Source:
        return self._whole

    def opened(self, path: str, version: list[Any] | None) -> Source:
        return registry.open_files(self._config, self._context, self._inputs.only(path, _state(version)))

    def is_there(self, path: str, version: list[Any] | None) -> bool:
        file = self._inputs.only(path, None).files()[0]
        with self._inputs.trouble(file):
            now = file.state()
        return now is not None and (version is None or [now.size, now.tag] == version[1:])

    def seconds_until_settled(self, file: Listed) -> float:
        """Return 0: objects appear whole."""
        return 0.0

    def is_of_one_file(self, error: Exception) -> bool:
        """Keys that are refused are refused for the next object, too, and none is to be passed over for that."""
        return not isinstance(error, AccessRefused)

    def shown(self, path: str) -> str:
        return f"{self._inputs.root}/{path}"

    def position(self, path: str, position: str) -> str:
        """Return the position as it is: the source names the object in it, as it does in a run over the whole."""
        return position

    async def close(self) -> None:
        await self._whole.close()


def _state(version: list[Any] | None) -> FileState | None:
    if version is None:
        return None
    changed, size, tag = version
    return FileState(size, (tag, size, changed), tag)
