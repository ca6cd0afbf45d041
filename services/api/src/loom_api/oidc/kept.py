"""Keeps what was fetched from a provider for a while, however many ask for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from loom_common.errors import LoomError

Value = TypeVar("Value")

FRESH_SECONDS = 3600.0
"""Says for how long what was fetched is used. A key that the provider has withdrawn is of no use after that."""
STALE_SECONDS = 24 * 3600.0
"""Says for how long it is used while the provider is away."""
PAUSE_SECONDS = 30.0
"""Says how often it is fetched at most, whatever is asked for."""
FAILED_SECONDS = 5.0
"""Says the same where nothing is there to be used meanwhile."""


class Kept(Generic[Value]):
    """Holds what a function fetches. Those who ask at the same time share one fetch."""

    def __init__(self, fetch: Callable[[], Awaitable[Value]], now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._lock = asyncio.Lock()
        self._value: Value | None = None
        self._at = 0.0
        self._tried: float | None = None
        self._trouble: LoomError | None = None

    async def get(self, *, anew: bool = False) -> Value:
        """Return what was fetched; `anew`, because what was asked for is not in it, unless it was fetched just now.
        Raises what the fetch raised, where there is nothing older that may be used."""
        async with self._lock:
            age = self._now() - self._at
            if self._value is not None and age < FRESH_SECONDS and not anew:
                return self._value
            pause = FAILED_SECONDS if self._value is None else PAUSE_SECONDS
            if self._tried is None or self._now() - self._tried >= pause:
                await self._try()
            if self._value is not None and self._now() - self._at < STALE_SECONDS:
                return self._value
        assert self._trouble is not None
        raise self._trouble

    async def _try(self) -> None:
        try:
            self._value = await self._fetch()
            self._at, self._trouble = self._now(), None
        except LoomError as error:
            self._trouble = error
        self._tried = self._now()
