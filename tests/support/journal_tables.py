"""The places a journal and what lies beside it may be in, for tests of one store alone: tables without migrations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loom_ai.journal.tables import metadata
from loom_common.async_engine import create_async_engine

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


async def create_tables(url: str) -> None:
    scheme, rest = url.split("://", 1)
    engine = create_async_engine(f"{_DRIVERS[scheme]}://{rest}")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


@asynccontextmanager
async def stored(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[str]:
    """Provide the address of an empty store of the kind that the fixture's `param` names. Only that one's server is
    started."""
    match request.param:
        case "memory":
            yield "memory://"
        case "sqlite":
            url = f"sqlite:///{folder}/journal.db"
            await create_tables(url)
            yield url
        case "postgres":
            async with request.getfixturevalue("postgres").database() as url:
                await create_tables(url)
                yield url
        case "redis":
            yield request.getfixturevalue("redis_url")
