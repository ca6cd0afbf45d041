"""Keeps rate limit buckets in Redis, by the clock of Redis.

Each bucket is changed by one script, so that no two workers are given the same slot."""

from __future__ import annotations

from typing import Any

from loom_ai.pacing.bucket import Taken, Wish
from loom_ai.stores.redis.connection import RedisStore

_PREFIX = "loom:bucket:"
_READ = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'paused')
local paused = tonumber(kept[3] or '0')
local function write(name, moment)
  redis.call('HSET', KEYS[1], name, string.format('%.6f', moment))
  local left = math.ceil((moment - now) * 1000) + 120000
  if redis.call('PTTL', KEYS[1]) < left then redis.call('PEXPIRE', KEYS[1], left) end
end
"""
_TAKE = (
    _READ
    + """
local requests = math.max(tonumber(kept[1] or '0'), now, paused)
local tokens = math.max(tonumber(kept[2] or '0'), now, paused)
write('requests', requests + tonumber(ARGV[1]))
write('tokens', tokens + tonumber(ARGV[2]))
return {string.format('%.6f', now), string.format('%.6f', requests), string.format('%.6f', tokens),
        string.format('%.6f', paused)}
"""
)
_PAUSE = (
    _READ
    + """
write('paused', math.max(paused, now + tonumber(ARGV[1])))
return 0
"""
)
_PAUSED = (
    _READ
    + """
return string.format('%.6f', math.max(0, paused - now))
"""
)


class RedisBuckets(RedisStore):
    """Keeps `Buckets` with one hash per bucket, which expires two minutes after its last use matters."""

    _what = "limits"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._scripts = {text: self._redis.register_script(text) for text in (_TAKE, _PAUSE, _PAUSED)}

    async def take(self, bucket: str, wish: Wish) -> Taken:
        return Taken(*map(float, await self._run(_TAKE, bucket, wish.requests, wish.tokens)))

    async def pause(self, bucket: str, seconds: float) -> None:
        await self._run(_PAUSE, bucket, seconds)

    async def paused(self, bucket: str) -> float:
        return float(await self._run(_PAUSED, bucket))

    async def _run(self, script: str, bucket: str, *values: float) -> Any:
        async with self._operation():
            return await self._scripts[script](keys=[_PREFIX + bucket], args=[f"{value:.6f}" for value in values])
