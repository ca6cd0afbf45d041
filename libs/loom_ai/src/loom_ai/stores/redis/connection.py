"""Opens the connection that all stores in Redis share, with its time limits and its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from loom_common.config.settings import CacheSettings
from loom_common.domain.values.urls import redacted
from loom_common.errors import DependencyUnavailable


class RedisStore:
    """Connects to a store in Redis at its first use, and fails fast when Redis cannot be reached."""

    _what: ClassVar[str]
    """The store's name in error messages."""

    def __init__(self, url: str) -> None:
        limits = CacheSettings()
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=limits.connect_timeout,
            socket_timeout=limits.operation_timeout,
            retry=Retry(NoBackoff(), 1),
        )
        self._seconds = limits.operation_timeout
        self._place = redacted(url)

    async def ping(self) -> None:
        """Check that Redis answers. Raises `DependencyUnavailable`."""
        async with self._operation():
            await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def _operation(self, *, in_time: bool = True) -> AsyncIterator[None]:
        """Wrap an operation. With `in_time` it may take `_seconds` at most. Raises `DependencyUnavailable`."""
        try:
            async with asyncio.timeout(self._seconds if in_time else None):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            cause = str(error).rstrip(".") or type(error).__name__
            raise DependencyUnavailable(
                f"The {self._what} at {self._place} cannot be reached: {cause}. "
                "See that Redis runs there, and that LOOM_JOURNAL_URL is right."
            ) from error
