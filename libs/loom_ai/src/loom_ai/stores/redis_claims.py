"""Claims in Redis, beside the journal: a script for each group, so that no two workers are given the same question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from loom_ai.claims import LEASE_SECONDS, Claim
from loom_ai.stores.redis import redis_at
from loom_common.domain.urls import redacted
from loom_common.errors import DependencyUnavailable
from loom_common.settings import CacheSettings

_PREFIX = "loom:claim:"
_TAKE = """
local taken = {}
for place, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if holder and holder ~= ARGV[place + 1] then
    taken[place] = 0
  else
    redis.call('SET', key, ARGV[place + 1], 'PX', ARGV[1])
    taken[place] = 1
  end
end
return taken
"""
_RELEASE = """
for place, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[place] then redis.call('UNLINK', key) end
end
return 0
"""


class RedisClaims:
    """`Claims` as one key each, forgotten with its lease."""

    def __init__(self, url: str) -> None:
        limits = CacheSettings()
        self._redis = redis_at(url, limits)
        self._seconds = limits.operation_timeout
        self._place = redacted(url)
        self._take = self._redis.register_script(_TAKE)
        self._release = self._redis.register_script(_RELEASE)

    async def take(self, claims: Sequence[Claim]) -> Sequence[bool]:
        lease = str(int(LEASE_SECONDS * 1000))
        async with self._trouble():
            taken = await self._take(keys=_keys(claims), args=[lease, *(claim.holder for claim in claims)])
        return [bool(each) for each in taken]

    async def release(self, claims: Sequence[Claim]) -> None:
        async with self._trouble():
            await self._release(keys=_keys(claims), args=[claim.holder for claim in claims])

    async def close(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def _trouble(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            raise DependencyUnavailable(
                f"The claims at {self._place} cannot be reached: {type(error).__name__}."
            ) from error


def _keys(claims: Sequence[Claim]) -> list[str]:
    return [_PREFIX + claim.key for claim in claims]
