"""Checks that a database answers."""

from __future__ import annotations

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from loom_common.domain.values.urls import redacted
from loom_common.errors import DependencyUnavailable


async def reachable(engine: AsyncEngine) -> None:
    """Run an empty query. Raises `DependencyUnavailable`. The caller limits the time."""
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
        place = redacted(engine.url.render_as_string(hide_password=False))
        raise DependencyUnavailable(f"The database {place} does not answer: {type(error).__name__}.") from error
