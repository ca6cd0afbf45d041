"""Provides a database of the test's own, and the connector on it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_connectors.ports import ConnectorContext
from loom_connectors.postgres.connector import open_destination, open_source


def context(folder, url: str, **more: Any) -> ConnectorContext:
    return ConnectorContext(folder, Credentials({"env": EnvProvider({"DB": url})}), **more)


@pytest.fixture
async def sql(postgres_url):
    """Runs statements in the test's own database."""
    connection = await asyncpg.connect(postgres_url)

    async def run(*statements: str) -> list[tuple[Any, ...]]:
        rows: list[Any] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return [tuple(row) for row in rows]

    yield run
    await connection.close()


@pytest.fixture
def reading(postgres_url, tmp_path):
    """Opens a source, and closes it."""

    @asynccontextmanager
    async def opened(table: str | None = None, *, url: str = postgres_url, params=None, **extract: Any):
        location = "${DB}" + (f"?table={table}" if table else "")
        source = open_source(ExtractConfig(source=location, **extract), context(tmp_path, url, params=params or {}))
        try:
            yield source
        finally:
            await source.close()

    return opened


@pytest.fixture
def loading(postgres_url, tmp_path):
    """Opens a destination, and closes it."""

    @asynccontextmanager
    async def opened(table: str = "t", *, url: str = postgres_url, schema=None, **load: Any):
        location = f"${{DB}}?table={table}"
        destination = open_destination(
            LoadConfig(destination=location, **load), context(tmp_path, url, output_schema=schema)
        )
        try:
            yield destination
        finally:
            await destination.close()

    return opened
