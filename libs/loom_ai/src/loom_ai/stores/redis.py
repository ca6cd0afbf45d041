"""The journal in Redis, shared by all replicas. Losing it costs money, never correctness: trouble is a miss."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TypeVar

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from loom_ai.ports import Entry, Kept, ModelAnswer, Payer
from loom_ai.stores.summing import Sums, meant
from loom_common.domain.urls import redacted
from loom_common.errors import DependencyUnavailable
from loom_common.ports.clock import Clock, SystemClock
from loom_common.settings import CacheSettings

KEPT_SECONDS = 30 * 86400
"""Redis forgets an entry after this time: it must outlive the longest run, and not fill the memory for ever."""
_QUIET_SECONDS = 60.0
_PREFIX = "loom:journal:"

T = TypeVar("T")

log = structlog.get_logger()


class RedisJournal:
    """A `Journal` that goes on without Redis when it must, and says so once a minute."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        limits = CacheSettings()
        self._redis = redis_at(url, limits)
        self._seconds = limits.operation_timeout
        self._place = redacted(url)
        self._clock = clock or SystemClock()
        self._quiet_until = 0.0

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        async def read() -> dict[str, Entry]:
            values = await self._redis.mget([_PREFIX + key for key in keys])
            return {key: _entry(key, value) for key, value in zip(keys, values, strict=True) if value is not None}

        return await self._or_without(read) or {}

    async def put_many(self, entries: Sequence[Entry]) -> None:
        async def write() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for entry in entries:
                    pipeline.set(_PREFIX + entry.key, _value(entry), ex=KEPT_SECONDS)
                await pipeline.execute()

        await self._or_without(write)

    async def kept(self) -> list[Kept]:
        sums = Sums()
        with self._trouble():
            async for entry in self._all():
                sums.add(entry)
        return sums.all()

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        gone = 0
        with self._trouble():
            async for entry in self._all():
                if meant(entry, before, model):
                    gone += await self._redis.unlink(_PREFIX + entry.key)
        return gone

    async def _all(self) -> AsyncIterator[Entry]:
        """Every entry there is, while others come and go."""
        cursor = 0
        while True:
            cursor, names = await self._redis.scan(cursor, match=f"{_PREFIX}*", count=1000)
            for name, value in zip(names, await self._redis.mget(names) if names else [], strict=True):
                if value is not None:
                    text = name.decode() if isinstance(name, bytes) else name
                    yield _entry(text.removeprefix(_PREFIX), value)
            if not cursor:
                return

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """A person who asks wants to hear of it."""
        try:
            yield
        except (RedisError, OSError) as error:
            raise DependencyUnavailable(
                f"The journal at {self._place} cannot be reached: {type(error).__name__}."
            ) from error

    async def close(self) -> None:
        await self._redis.aclose()

    async def _or_without(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await operation()
        except (RedisError, OSError, TimeoutError) as error:
            if self._clock.monotonic() >= self._quiet_until:
                self._quiet_until = self._clock.monotonic() + _QUIET_SECONDS
                log.warning(
                    "journal unavailable: going on without it, so repeated calls are paid again",
                    place=self._place,
                    error=type(error).__name__,
                )
            return None


def redis_at(url: str, limits: CacheSettings) -> Redis:
    """Connects at the first use, and gives up soon."""
    return Redis.from_url(
        url,
        socket_connect_timeout=limits.connect_timeout,
        socket_timeout=limits.operation_timeout,
        retry=Retry(NoBackoff(), 1),
    )


def _value(entry: Entry) -> bytes:
    return orjson.dumps(
        {
            "run_id": entry.payer.run_id,
            "record_id": entry.payer.record_id,
            "purpose": entry.purpose,
            "provider": entry.provider,
            "model": entry.model,
            "answer": asdict(entry.answer),
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
        answer=ModelAnswer(**kept["answer"]),
        cost=kept["cost"],
        created_at=dt.datetime.fromisoformat(kept["created_at"]),
    )
