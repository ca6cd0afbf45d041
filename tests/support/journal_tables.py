"""The tables beside the journal, made without migrations: for tests of one store alone."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import create_async_engine

from loom_ai.journal_tables import metadata

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


async def create_tables(url: str) -> None:
    scheme, rest = url.split("://", 1)
    engine = create_async_engine(f"{_DRIVERS[scheme]}://{rest}")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
