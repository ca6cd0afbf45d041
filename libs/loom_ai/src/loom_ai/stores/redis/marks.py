"""Keeps batch marks in Redis, beside the journal. Losing them costs isolation, but no record."""

from __future__ import annotations

import orjson

from loom_ai.stores.redis.connection import RedisStore
from loom_common.domain.marks import Mark

KEPT_SECONDS = 7 * 86400
_PREFIX = "loom:mark:"


class RedisMarks(RedisStore):
    """Keeps `Marks` with one key per batch. Only one worker has a batch at a time, so a read and a write need no
    transaction."""

    _what = "marks"

    async def begin(self, batch: str, mark: Mark) -> Mark | None:
        async with self._operation():
            if await self._redis.set(_PREFIX + batch, _value(mark), ex=KEPT_SECONDS, nx=True):
                return None
            found = await self._redis.get(_PREFIX + batch)
        return None if found is None else Mark.of_json(orjson.loads(found))

    async def keep(self, batch: str, mark: Mark) -> None:
        async with self._operation():
            await self._redis.set(_PREFIX + batch, _value(mark), ex=KEPT_SECONDS)

    async def clear(self, batch: str) -> None:
        async with self._operation():
            await self._redis.delete(_PREFIX + batch)


def _value(mark: Mark) -> bytes:
    return orjson.dumps(mark.as_json())
