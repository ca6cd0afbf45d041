"""Defines the port of the buckets that all workers take from, and its implementation inside one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from loom_ai.pacing.bucket import Taken, Wish
from loom_common.ports.clock import Clock, SystemClock


class Buckets(Protocol):
    """Keeps buckets by name. Each operation is atomic, also where several processes use one bucket."""

    async def take(self, bucket: str, wish: Wish) -> Taken:
        """Take `wish` from the bucket's time; gives the bucket as it was before. Raises `DependencyUnavailable`."""
        ...

    async def pause(self, bucket: str, seconds: float) -> None:
        """Nothing of the bucket is free for so long; a longer pause stands. Raises `DependencyUnavailable`."""
        ...

    async def paused(self, bucket: str) -> float:
        """Return the seconds left of its pause; 0 for none. Raises `DependencyUnavailable`."""
        ...

    async def close(self) -> None:
        """Release the connections to the server that holds the buckets."""
        ...


@dataclass(slots=True)
class _Bucket:
    requests: float = 0.0
    tokens: float = 0.0
    paused: float = 0.0


class MemoryBuckets:
    """Keeps buckets in a dict, for an embedded run and for as long as the shared ones are away."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._buckets: dict[str, _Bucket] = {}

    async def take(self, bucket: str, wish: Wish) -> Taken:
        now, kept = self._clock.monotonic(), self._of(bucket)
        taken = Taken(now, max(kept.requests, now, kept.paused), max(kept.tokens, now, kept.paused), kept.paused)
        kept.requests = taken.requests_from + wish.requests
        kept.tokens = taken.tokens_from + wish.tokens
        return taken

    async def pause(self, bucket: str, seconds: float) -> None:
        kept = self._of(bucket)
        kept.paused = max(kept.paused, self._clock.monotonic() + seconds)

    async def paused(self, bucket: str) -> float:
        return max(0.0, self._of(bucket).paused - self._clock.monotonic())

    async def close(self) -> None:
        self._buckets.clear()

    def _of(self, bucket: str) -> _Bucket:
        return self._buckets.setdefault(bucket, _Bucket())
