"""Tells a pooler of connections, such as PgBouncer, from Postgres itself.

A pooler in transaction mode changes the connection between two transactions. Settings and prepared statements, which
belong to a connection, are then lost or those of another client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_common.errors import ConfigurationError

SETTING = "pool_mode"
"""The setting of a URL that says how a pooler gives connections away."""
_REMEDY = (
    "Settings and prepared statements belong to a connection, and transaction pooling (`pool_mode = transaction` of "
    "PgBouncer) changes it between transactions. Name the address of Postgres itself; or set `pool_mode = session` in "
    "the pooler, and say so in the URL: `?pool_mode=session`."
)


def pools_sessions(settings: Mapping[str, object]) -> bool:
    """Tell whether the settings of a URL say that a pooler gives each client a connection of its own. Raises
    `ConfigurationError` where they name another way."""
    mode = settings.get(SETTING)
    if mode not in (None, "session"):
        raise ConfigurationError(f"The URL of Postgres says another `{SETTING}`. {_REMEDY}")
    return mode is not None


def refused(place: str) -> ConfigurationError:
    """Return the error of a URL at which a pooler answers, and which does not say so."""
    return ConfigurationError(f"{place} is a pooler of connections. {_REMEDY}")


async def is_pooler(connection: Any) -> bool:
    """Tell whether a pooler answers in the place of Postgres: it gives clients a process number of its own.
    `connection` is one of asyncpg."""
    import asyncpg  # an embedded run never asks, and an import of its driver takes long

    try:
        return bool(await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid())
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        return True  # the connection is another client's as well
