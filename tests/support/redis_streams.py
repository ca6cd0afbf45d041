"""Adds entries to streams of the tests' Redis, and says what consumer groups hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis


@dataclass(frozen=True)
class Streams:
    """Represents a database of the test's own."""

    redis: Redis

    async def put(self, stream: str, *entries: dict[str, Any]) -> list[str]:
        """Add entries, and return their ids."""
        return [(await self.redis.xadd(stream, entry)).decode() for entry in entries]

    async def held(self, stream: str, group: str = "loom") -> int:
        """Return the number of entries that the group was given and has not acknowledged."""
        return int((await self.redis.xpending(stream, group))["pending"])

    async def left(self, stream: str, group: str = "loom") -> int:
        """Return the number of entries that the group was not given or has not acknowledged."""
        (found,) = [each for each in await self.redis.xinfo_groups(stream) if each["name"] == group.encode()]
        return int(found["lag"]) + int(found["pending"])


@asynccontextmanager
async def streams_at(url: str) -> AsyncIterator[Streams]:
    """Connect to a database."""
    redis = Redis.from_url(url, protocol=2)
    try:
        yield Streams(redis)
    finally:
        await redis.aclose()


def entries(numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return an entry for each number, whose fields are those of a record."""
    return [{"id": f"t{n:05}", "text": f"Ticket {n}"} for n in numbers]
