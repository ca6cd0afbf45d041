"""Keeps claims in Redis, beside the journal.

Each group is claimed by one script, so that no two workers claim the same question."""

from __future__ import annotations

from collections.abc import Sequence

from loom_ai.journal.claims import LEASE_SECONDS, Claim
from loom_ai.stores.redis.connection import RedisStore

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


class RedisClaims(RedisStore):
    """Keeps `Claims` with one key per claim, which expires with its lease."""

    _what = "claims"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._take = self._redis.register_script(_TAKE)
        self._release = self._redis.register_script(_RELEASE)

    async def take(self, claims: Sequence[Claim]) -> Sequence[bool]:
        lease = str(int(LEASE_SECONDS * 1000))
        async with self._operation():
            taken = await self._take(keys=_keys(claims), args=[lease, *(claim.holder for claim in claims)])
        return [bool(each) for each in taken]

    async def release(self, claims: Sequence[Claim]) -> None:
        async with self._operation():
            await self._release(keys=_keys(claims), args=[claim.holder for claim in claims])


def _keys(claims: Sequence[Claim]) -> list[str]:
    return [_PREFIX + claim.key for claim in claims]
