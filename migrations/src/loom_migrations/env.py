"""Serves as Alembic's entry point. It uses the connection it is given (`loom_migrations.upgrade`), or
LOOM_STATE_URL."""

from __future__ import annotations

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from loom_migrations.engine import open_engine


def migrate(connection: Connection) -> None:
    """Run the migrations on an open connection, inside its transaction."""
    context.configure(connection=connection, render_as_batch=connection.dialect.name == "sqlite")
    context.run_migrations()


async def _migrate_by_url() -> None:
    engine = open_engine(os.environ["LOOM_STATE_URL"])
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    asyncio.run(_migrate_by_url())
