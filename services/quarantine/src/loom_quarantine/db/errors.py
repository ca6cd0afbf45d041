"""Opens transactions of the quarantine's database, and classifies its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.values.urls import redacted
from loom_common.errors import DependencyUnavailable
from loom_migrations.trouble import state_trouble


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Run one transaction, committed when the block ends.

    Raises `DependencyUnavailable` where the database cannot be reached, and `StateUnusable` where its file is full,
    refused or damaged."""
    try:
        async with engine.begin() as connection:
            yield connection
    except (DataError, IntegrityError):
        raise
    except (
        DBAPIError,
        PoolTimeout,
        OSError,
    ) as error:  # any other error is of the server or its file
        raise state_trouble(engine.url, error) or _unavailable(engine, error) from error


def _unavailable(engine: AsyncEngine, error: Exception) -> DependencyUnavailable:
    where = redacted(engine.url.render_as_string(hide_password=True))
    words = str(getattr(error, "orig", None) or error).splitlines()
    why = words[0] if words else type(error).__name__
    return DependencyUnavailable(
        f"The quarantine's database {where} cannot be used: {why}. "
        "See that it runs, that LOOM_STATE_URL is right, and that the migrations were applied."
    )
