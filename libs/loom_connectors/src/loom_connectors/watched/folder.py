"""Lists files of this machine that match a pattern.

A file appears there at the time of the last change of its entry (`ctime`), which moving it into a folder sets, and
nobody else can."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.values import durations
from loom_common.errors import InvalidDefinition, Problem, SourceError
from loom_connectors import registry
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source
from loom_connectors.storage.local_storage import LocalInputs
from loom_connectors.watched.listing import Listed

_SETTLED_SECONDS = 1.0
_LAG_SECONDS = 2
"""Clocks of file systems are coarse."""


class FolderListing:
    """Represents a folder, or a pattern of files, as a `Listing`."""

    poll_seconds = 0.2
    most = 1
    finds_late = False

    def __init__(self, config: ExtractConfig, context: ConnectorContext) -> None:
        self.lag_seconds = _LAG_SECONDS
        self._settled = _SETTLED_SECONDS if config.settle is None else durations.seconds(config.settle)
        self._config = config
        self._context = context
        self._inputs = LocalInputs(context.credentials.expand(config.source), context)
        self._whole = registry.open_source(config, context)

    @property
    def place(self) -> str:
        return self._inputs.place

    def files(self) -> Iterator[Listed]:
        for path in self._paths():
            try:
                there = os.stat(path)  # noqa: PTH116 - thousands of them, a few times a second
            except OSError:
                continue
            yield Listed(path, there.st_ctime_ns, there.st_size, there.st_mtime_ns)

    def first(self) -> Source | None:
        return self._whole if self._paths() else None

    def whole(self) -> Source:
        return self._whole

    def opened(self, path: str, version: list[Any] | None) -> Source:
        config = self._config.model_copy(update={"source": path})  # which says how this file is packed
        return registry.open_files(config, self._context, self._inputs.only(path))

    def is_there(self, path: str, version: list[Any] | None) -> bool:
        return Path(path).exists()

    def seconds_until_settled(self, file: Listed) -> float:
        """No file is passed over: one that may still be written to holds back those that came after it."""
        return self._settled - (time.time_ns() - file.changed) / 1e9

    def is_of_one_file(self, error: Exception) -> bool:
        return True

    def shown(self, path: str) -> str:
        folder = str(self._context.folder)
        return os.path.relpath(path, folder) if path.startswith(folder) else path

    def position(self, path: str, position: str) -> str:
        """Return the position as it is: the source names the file in it, as it does in a run over the whole."""
        return position

    async def close(self) -> None:
        await self._whole.close()

    def _paths(self) -> list[str]:
        if not self._inputs.several():
            expected = "in a stream, a folder or a pattern of files: `inbox/*.jsonl`"
            raise InvalidDefinition(
                [Problem(("extract", "source"), f"'{self._config.source}', one file", expected)],
            )
        try:
            return [each.shown for each in self._inputs.files()]
        except SourceError:  # no file matches yet
            return []
