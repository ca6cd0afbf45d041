"""Provides the state database on both systems, as the migrations make it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from loom_common.async_engine import AsyncEngine
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path) -> str:
    """Provide an empty database of the test's own, on SQLite and on Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/loom.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def engine(url) -> AsyncIterator[AsyncEngine]:
    """Provide the database with all tables and no rows."""
    engine = open_engine(url)
    await upgrade(engine)
    yield engine
    await engine.dispose()
