"""Opens the source and the destination of a database, as a pipeline whose location is `${DB}` does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Destination
from loom_connectors.ports.source import Source
from loom_connectors.registry import open_destination, open_source

OpensSource = Callable[..., AbstractAsyncContextManager[Source]]
OpensDestination = Callable[..., AbstractAsyncContextManager[Destination]]


def _context(folder: Path, url: str, **more: Any) -> ConnectorContext:
    return ConnectorContext(folder, Credentials({"env": EnvProvider({"DB": url})}), **more)


def opens_source(folder: Path, database: str) -> OpensSource:
    """Return what opens a source on the database of this URL, and closes it."""

    @asynccontextmanager
    async def opened(
        table: str | None = None, *, url: str = database, params: Mapping[str, Any] | None = None, **extract: Any
    ) -> AsyncIterator[Source]:
        location = "${DB}" + (f"?table={table}" if table else "")
        source = open_source(ExtractConfig(source=location, **extract), _context(folder, url, params=params or {}))
        try:
            yield source
        finally:
            await source.close()

    return opened


def opens_destination(folder: Path, database: str) -> OpensDestination:
    """Return what opens a destination on the database of this URL, and closes it."""

    @asynccontextmanager
    async def opened(
        table: str = "t",
        *,
        url: str = database,
        sample: bool = False,
        schema: Mapping[str, Any] | None = None,
        **load: Any,
    ) -> AsyncIterator[Destination]:
        config = LoadConfig(destination=f"${{DB}}?table={table}", **load)
        destination = open_destination(config, _context(folder, url, sample=sample, output_schema=schema))
        try:
            yield destination
        finally:
            await destination.close()

    return opened
