"""Uses shared buckets while they can be reached, and this process's own while they cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from loom_ai.pacing.bucket import Taken, Wish
from loom_ai.pacing.buckets import Buckets, MemoryBuckets
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock

AWAY_SECONDS = 10.0
"""How long the shared ones are left alone after they could not be reached."""
T = TypeVar("T")


class FallingBack:
    """Keeps `Buckets` that never raise: losing the shared ones makes limits per process, and fails no run."""

    def __init__(self, shared: Buckets, clock: Clock | None = None) -> None:
        self._shared = shared
        self._clock = clock or SystemClock()
        self._own = MemoryBuckets(self._clock)
        self._away_until = 0.0

    async def take(self, bucket: str, wish: Wish) -> Taken:
        return await self._or_own(lambda buckets: buckets.take(bucket, wish))

    async def pause(self, bucket: str, seconds: float) -> None:
        await self._or_own(lambda buckets: buckets.pause(bucket, seconds))

    async def paused(self, bucket: str) -> float:
        return await self._or_own(lambda buckets: buckets.paused(bucket))

    async def close(self) -> None:
        await self._shared.close()

    async def _or_own(self, operation: Callable[[Buckets], Awaitable[T]]) -> T:
        if self._clock.monotonic() >= self._away_until:
            try:
                return await operation(self._shared)
            except LoomError as error:
                self._away_until = self._clock.monotonic() + AWAY_SECONDS
                log.warning("limits are kept per process until their store answers", error=str(error))
        return await operation(self._own)
