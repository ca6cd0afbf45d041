"""Opens engines on a file of SQLite that has a table of letters, each there once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa

from loom_common.async_engine import AsyncEngine, create_async_engine
from loom_common.sqlite.connection import SqliteConnection

LETTERS = sa.Table(
    "letters", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("letter", sa.Text, unique=True)
)


@asynccontextmanager
async def engine_on(path: Path, kind: type[SqliteConnection] = SqliteConnection) -> AsyncIterator[AsyncEngine]:
    """Open an engine whose connections are of this kind, and make the table."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"async_creator_fn": kind.opened})
    try:
        async with engine.begin() as connection:
            await connection.run_sync(LETTERS.metadata.create_all)
        yield engine
    finally:
        await engine.dispose()
