"""Keeps the journal in Redis, which all replicas share.

Losing it costs money but no record: an error of Redis counts as an entry that is not there."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TypeVar

import orjson

from loom_ai.answer_notes import BESIDE, read_beside, written_beside
from loom_ai.ports import Entry, Kept, ModelAnswer, Payer
from loom_ai.stores.redis.connection import RedisStore
from loom_ai.stores.sql.sums import Sums, to_be_cleared
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock

KEPT_SECONDS = 30 * 86400
"""The number of seconds after which Redis drops an entry. They must cover the longest run, and bound the memory that
is used."""
_QUIET_SECONDS = 60.0
_PREFIX = "loom:journal:"

T = TypeVar("T")


class RedisJournal(RedisStore):
    """Implements a `Journal` that continues without Redis when it must, and logs that once a minute."""

    _what = "journal"

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        super().__init__(url)
        self._clock = clock or SystemClock()
        self._quiet_until = 0.0

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        async def read() -> dict[str, Entry]:
            values = await self._redis.mget([_PREFIX + key for key in keys])
            return {key: _entry(key, value) for key, value in zip(keys, values, strict=True) if value is not None}

        return await self._or_default(read) or {}

    async def put_many(self, entries: Sequence[Entry]) -> None:
        async def write() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for entry in entries:
                    pipeline.set(_PREFIX + entry.key, _value(entry), ex=KEPT_SECONDS)
                await pipeline.execute()

        await self._or_default(write)

    async def kept(self) -> list[Kept]:
        sums = Sums()
        async with self._operation(in_time=False):
            async for entry in self._all():
                sums.add(entry)
        return sums.all()

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        gone = 0
        async with self._operation(in_time=False):
            async for entry in self._all():
                if to_be_cleared(entry, before, model):
                    gone += await self._redis.unlink(_PREFIX + entry.key)
        return gone

    async def _all(self) -> AsyncIterator[Entry]:
        """Yield every entry, while others may be added and removed."""
        cursor = 0
        while True:
            cursor, names = await self._redis.scan(cursor, match=f"{_PREFIX}*", count=1000)
            for name, value in zip(names, await self._redis.mget(names) if names else [], strict=True):
                if value is not None:
                    text = name.decode() if isinstance(name, bytes) else name
                    yield _entry(text.removeprefix(_PREFIX), value)
            if not cursor:
                return

    async def _or_default(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        try:
            async with self._operation():
                return await operation()
        except DependencyUnavailable as error:
            if self._clock.monotonic() >= self._quiet_until:
                self._quiet_until = self._clock.monotonic() + _QUIET_SECONDS
                log.warning(
                    "journal unavailable: going on without it, so repeated calls are paid again",
                    error=str(error),
                )
            return None


def _value(entry: Entry) -> bytes:
    answer = {name: value for name, value in asdict(entry.answer).items() if name not in BESIDE}
    return orjson.dumps(
        {
            "run_id": entry.payer.run_id,
            "record_id": entry.payer.record_id,
            "purpose": entry.purpose,
            "provider": entry.provider,
            "model": entry.model,
            "answer": {**answer, **written_beside(entry.answer)},
            "cost": entry.cost,
            "created_at": entry.created_at,
        }
    )


def _entry(key: str, value: bytes | str) -> Entry:
    kept = orjson.loads(value)
    return Entry(
        key=key,
        payer=Payer(kept["run_id"], kept["record_id"]),
        purpose=kept["purpose"],
        provider=kept["provider"],
        model=kept["model"],
        answer=ModelAnswer(
            **{**kept["answer"], "noted": tuple(kept["answer"].get("noted", ())), **read_beside(kept["answer"])}
        ),
        cost=kept["cost"],
        created_at=dt.datetime.fromisoformat(kept["created_at"]),
    )
