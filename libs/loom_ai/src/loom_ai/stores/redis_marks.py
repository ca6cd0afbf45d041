"""Marks in Redis, beside the journal. Losing them costs isolation, never a record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from redis.exceptions import RedisError

from loom_ai.stores.redis import redis_at
from loom_common.domain.marks import Mark
from loom_common.domain.urls import redacted
from loom_common.errors import DependencyUnavailable
from loom_common.settings import CacheSettings

KEPT_SECONDS = 7 * 86400
_PREFIX = "loom:mark:"


class RedisMarks:
    """`Marks` as one key per batch. One worker has a batch at a time, so reading and writing need not be one."""

    def __init__(self, url: str) -> None:
        limits = CacheSettings()
        self._redis = redis_at(url, limits)
        self._seconds = limits.operation_timeout
        self._place = redacted(url)

    async def begin(self, batch: str, mark: Mark) -> Mark | None:
        async with self._trouble():
            if await self._redis.set(_PREFIX + batch, _value(mark), ex=KEPT_SECONDS, nx=True):
                return None
            found = await self._redis.get(_PREFIX + batch)
        return None if found is None else Mark.of_json(orjson.loads(found))

    async def keep(self, batch: str, mark: Mark) -> None:
        async with self._trouble():
            await self._redis.set(_PREFIX + batch, _value(mark), ex=KEPT_SECONDS)

    async def clear(self, batch: str) -> None:
        async with self._trouble():
            await self._redis.delete(_PREFIX + batch)

    async def close(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def _trouble(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            raise DependencyUnavailable(
                f"The marks at {self._place} cannot be reached: {type(error).__name__}."
            ) from error


def _value(mark: Mark) -> bytes:
    return orjson.dumps(mark.as_json())
