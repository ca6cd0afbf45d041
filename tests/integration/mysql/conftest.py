"""Provides a database of the test's own, and the connector on it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_connectors.ports import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from support.sql_systems import in_mysql


def context(folder, url: str, **more: Any) -> ConnectorContext:
    return ConnectorContext(folder, Credentials({"env": EnvProvider({"DB": url})}), **more)


@pytest.fixture
def sql(mariadb_url):
    """Runs statements in the test's own database."""

    async def run(*statements: str) -> list[tuple[Any, ...]]:
        rows: Any = []
        for statement in statements:
            rows = await in_mysql(mariadb_url, statement)
        return [tuple(row) for row in rows]

    return run


@pytest.fixture
def reading(mariadb_url, tmp_path):
    """Opens a source, and closes it."""

    @asynccontextmanager
    async def opened(table: str | None = None, *, url: str = mariadb_url, params=None, **extract: Any):
        location = "${DB}" + (f"?table={table}" if table else "")
        source = open_source(ExtractConfig(source=location, **extract), context(tmp_path, url, params=params or {}))
        try:
            yield source
        finally:
            await source.close()

    return opened


@pytest.fixture
def loading(mariadb_url, tmp_path):
    """Opens a destination, and closes it."""

    @asynccontextmanager
    async def opened(table: str = "t", *, url: str = mariadb_url, sample=False, **load: Any):
        config = LoadConfig(destination=f"${{DB}}?table={table}", **load)
        destination = open_destination(config, context(tmp_path, url, sample=sample))
        try:
            yield destination
        finally:
            await destination.close()

    return opened
