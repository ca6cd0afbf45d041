"""Checks that a database answers, and says in words why one does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from loom_common.async_engine import AsyncEngine
from loom_common.domain.values.urls import redacted
from loom_common.errors import DependencyUnavailable

_REMEDY = (
    "See that the server runs there, and that the address, the user and the password are right in the setting that "
    "names it: LOOM_STATE_URL, or `storage` in loom.yaml."
)


async def reachable(engine: AsyncEngine) -> None:
    """Run an empty query. Raises `DependencyUnavailable`. The caller limits the time."""
    import asyncpg  # an embedded run never asks, and an import of its driver takes long

    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise _unreachable(engine.url, error) from error


@contextmanager
def first_contact(url: URL) -> Iterator[None]:
    """Raise `DependencyUnavailable`, with cause and remedy, where a server takes no connection. Other errors pass."""
    if url.get_backend_name() == "sqlite":
        yield
        return
    import asyncpg

    try:
        yield
    except (asyncpg.PostgresError, OSError) as error:
        raise _unreachable(url, error) from error


def _unreachable(url: URL, error: Exception) -> DependencyUnavailable:
    place = redacted(url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False))
    return DependencyUnavailable(f"The database {place} does not answer: {cause_of(url, error)}. {_REMEDY}")


def cause_of(url: URL, error: Exception) -> str:
    """Say in words, without secrets, why the database at `url` gave no answer."""
    import asyncpg

    match error:
        case ConnectionRefusedError():
            return f"the connection was refused, because nothing listens at {url.host}:{url.port or 5432}"
        case socket.gaierror():
            return f"there is no host {url.host}"
        case TimeoutError():
            return "no answer came in time"
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "the server refused the login"
        case asyncpg.InvalidCatalogNameError():
            return f"the server has no database {url.database}"
    words = str(getattr(error, "orig", None) or error).strip().splitlines()
    return f"{type(error).__name__}: {words[0].rstrip('.')}" if words else type(error).__name__
