"""Provides a database of the test's own, and the connector on it."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from loom_dev.backends import PgBouncer
from support.connected import OpensDestination, OpensSource, opens_destination, opens_source


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


@pytest.fixture(params=["transaction", "session"])
async def pooler(request, postgres_url):
    """Provide PgBouncer in front of the test's own database, and the way in which it pools."""
    pooler = PgBouncer(postgres_url, request.param)
    await asyncio.to_thread(pooler.start)
    yield pooler, request.param
    await asyncio.to_thread(pooler.close)


@pytest.fixture
def reading(postgres_url, tmp_path) -> OpensSource:
    """Opens a source, and closes it."""
    return opens_source(tmp_path, postgres_url)


@pytest.fixture
def loading(postgres_url, tmp_path) -> OpensDestination:
    """Opens a destination, and closes it."""
    return opens_destination(tmp_path, postgres_url)
