"""Provides the state database on both systems, as the migrations make it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from loom_common.async_engine import AsyncEngine
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from support.migrated import migrated_database


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request, tmp_path) -> AsyncIterator[str]:
    """Provide a database of the test's own, on SQLite and on Postgres: empty, or, on Postgres, with all tables where
    the test asks for `engine`."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/loom.db"
        return
    postgres = request.getfixturevalue("postgres")
    migrated = "engine" in request.fixturenames
    async with migrated_database(postgres) if migrated else postgres.database() as url:
        yield url


@pytest.fixture
async def engine(url) -> AsyncIterator[AsyncEngine]:
    """Provide the database with all tables and no rows."""
    engine = open_engine(url)
    await upgrade(engine)
    yield engine
    await engine.dispose()
