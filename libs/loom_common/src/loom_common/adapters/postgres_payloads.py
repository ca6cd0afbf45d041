"""The payload store as a table of the state database: `payloads(hash, body, created_at)`."""

from __future__ import annotations

import asyncio

import asyncpg

from loom_common.domain.ids import content_hash
from loom_common.errors import DependencyUnavailable

_CONNECT_SECONDS = 3.0
_QUERY_SECONDS = 10.0


class PostgresPayloads:
    """Opens its small pool at the first use."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def put(self, data: bytes) -> str:
        name = content_hash(data)
        pool = await self._open()
        try:
            await pool.execute("INSERT INTO payloads (hash, body) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, data)
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError) as error:
            raise DependencyUnavailable(f"The payload store went away: {error}") from error
        return name

    async def get(self, name: str) -> bytes:
        pool = await self._open()
        try:
            body = await pool.fetchval("SELECT body FROM payloads WHERE hash = $1", name)
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError) as error:
            raise DependencyUnavailable(f"The payload store went away: {error}") from error
        if body is None:
            raise KeyError(name)
        return bytes(body)

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                try:
                    self._pool = await asyncpg.create_pool(
                        self._dsn, min_size=0, max_size=4, timeout=_CONNECT_SECONDS, command_timeout=_QUERY_SECONDS
                    )
                except (OSError, asyncpg.PostgresError) as error:
                    raise DependencyUnavailable(f"The payload store (LOOM_PAYLOADS_URL) is away: {error}") from error
            return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
