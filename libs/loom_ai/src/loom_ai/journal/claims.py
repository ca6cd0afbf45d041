"""Defines the port of claims, which decide who asks a question that several processes want answered at the same time,
and its implementation inside one process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from loom_ai.ports import Payer
from loom_common.ports.clock import Clock, SystemClock

LEASE_SECONDS = 10.0
"""How long others wait for a process that has died while it asked."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Says that one record's worker asks the question of `key`."""

    key: str
    holder: str

    @classmethod
    def of(cls, key: str, payer: Payer) -> Claim:
        """The record is the holder, not its process: delivered again, after a crash, it need not wait for itself."""
        return cls(key, hashlib.sha256(orjson.dumps([payer.run_id, payer.record_id])).hexdigest())


class Claims(Protocol):
    """Keeps claims by key, each for `LEASE_SECONDS` from when it was taken last. Every operation is atomic for each
    key."""

    async def take(self, claims: Sequence[Claim]) -> Sequence[bool]:
        """Take claims, and tell which of them hold now: those that nobody else has. Taken again, one's own begins anew.

        Raises `DependencyUnavailable`, `PermanentError`."""
        ...

    async def release(self, claims: Sequence[Claim]) -> None:
        """Let go of those that hold. Raises what `take` raises."""
        ...

    async def close(self) -> None:
        """Release the connections that are open."""
        ...


class MemoryClaims:
    """Keeps claims in a dict."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._held: dict[str, tuple[str, float]] = {}

    async def take(self, claims: Sequence[Claim]) -> Sequence[bool]:
        return [self._taken(claim) for claim in claims]

    async def release(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if self._held.get(claim.key, ("", 0.0))[0] == claim.holder:
                del self._held[claim.key]

    async def close(self) -> None:
        self._held.clear()

    def _taken(self, claim: Claim) -> bool:
        now = self._clock.monotonic()
        holder, until = self._held.get(claim.key, (claim.holder, now))
        if holder != claim.holder and until > now:
            return False
        self._held[claim.key] = (claim.holder, now + LEASE_SECONDS)
        return True
