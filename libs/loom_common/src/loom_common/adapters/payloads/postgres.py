"""Implements the payload store in a table of the state database: `payloads(name, run_id, body, created_at)`, where
`run_id` is the owner."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from loom_common import poolers
from loom_common.config.settings import DatabaseSettings
from loom_common.domain.values.ids import content_hash
from loom_common.domain.values.sqlstates import passes
from loom_common.errors import DependencyUnavailable


class PostgresPayloads:
    """Keeps payloads in Postgres, and opens its small connection pool at the first use."""

    def __init__(self, dsn: str) -> None:
        url = urlsplit(dsn)
        settings = dict(parse_qsl(url.query, keep_blank_values=True))
        self._pooled = poolers.pools_sessions(settings)
        settings.pop(poolers.SETTING, None)
        self._dsn = url._replace(query=urlencode(settings)).geturl()
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def put(self, data: bytes, *, owner: str | None = None) -> str:
        name = content_hash(data) if owner is None else f"{owner}/{content_hash(data)}"
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO payloads (name, run_id, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                name,
                owner,
                data,
            )
        return name

    async def put_first(self, data: bytes, *, owner: str, name: str) -> bytes:
        async with self._connection() as connection:
            status = await connection.execute(
                "INSERT INTO payloads (name, run_id, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                f"{owner}/{name}",
                owner,
                data,
            )
        return data if status == "INSERT 0 1" else await self.get(f"{owner}/{name}")

    async def get(self, name: str) -> bytes:
        async with self._connection() as connection:
            body = await connection.fetchval("SELECT body FROM payloads WHERE name = $1", name)
        if body is None:
            raise KeyError(name)
        return bytes(body)

    async def owners(self) -> Mapping[str, dt.datetime]:
        query = "SELECT run_id, max(created_at) AS newest FROM payloads WHERE run_id IS NOT NULL GROUP BY run_id"
        async with self._connection() as connection:
            rows = await connection.fetch(query)
        return {row["run_id"]: row["newest"] for row in rows}

    async def names(self, owner: str) -> Sequence[str]:
        async with self._connection() as connection:
            rows = await connection.fetch("SELECT name FROM payloads WHERE run_id = $1", owner)
        return [row["name"] for row in rows]

    async def forget(self, owner: str) -> None:
        async with self._connection() as connection:
            await connection.execute("DELETE FROM payloads WHERE run_id = $1", owner)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """Return a connection of the pool. Errors that say the server cannot be reached become
        `DependencyUnavailable`."""
        try:
            async with self._opening:
                if self._pool is None:
                    limits = DatabaseSettings()
                    self._pool = await asyncpg.create_pool(
                        self._dsn,
                        min_size=0,
                        max_size=4,
                        timeout=limits.connect_timeout,
                        command_timeout=limits.query_timeout,
                        server_settings=limits.on_the_server(limits.query_timeout),
                        init=self._see_no_pooler,
                    )
            async with self._pool.acquire() as connection:
                yield connection
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise _away(error) from error
        except asyncpg.PostgresError as error:
            if not passes(error):
                raise
            raise _away(error) from error

    async def _see_no_pooler(self, connection: asyncpg.Connection) -> None:
        if not self._pooled and await poolers.is_pooler(connection):
            raise poolers.refused("LOOM_PAYLOADS_URL")

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()


def _away(error: Exception) -> DependencyUnavailable:
    return DependencyUnavailable(f"The payload store (LOOM_PAYLOADS_URL) is away: {type(error).__name__}.")
