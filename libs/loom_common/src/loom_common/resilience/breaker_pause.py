"""Decides when a worker stops taking messages, because nothing it could do would succeed (docs/adr/0005).

A message that meets an open breaker costs no attempt. While other messages get through, it waits in a retry queue: one
run's dead endpoint must not hold up another run. While none does, the worker takes no more messages until the next
probe, and keeps those in flight; but every few seconds it looks whether the queue holds other work."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from cachetools import LRUCache

from loom_common.errors import BreakerOpen
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock

LOOK_SECONDS = 1.0
"""Says how long after a breaker opened messages that need it go to a retry queue: the messages behind them in the queue
are then reached, and show whether there is other work to do."""
LOOK_EVERY_SECONDS = 5.0
"""A pausing worker does the same again so often, because a probe may be a minute away and take 30 s to fail."""
TELL_EVERY_SECONDS = 5.0
"""Says how often a run is told that it still waits."""
_TOLD = 1000
"""The most pairs of a run and an upstream whose last notice is remembered."""


def sits_out(away: BreakerOpen, *, idle: bool, got_through: float, looked: float) -> bool:
    """Return whether to stop taking messages until the next probe. It does no I/O.

    `idle` says that no other message is being worked on. `got_through` is the number of seconds since a message was
    handled, and `looked` since the worker last began to look for other work."""
    return idle and min(away.opened_for, looked) >= LOOK_SECONDS and away.opened_for <= got_through


class BreakerPause:
    """Keeps the pause of one worker."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._got_through = self._looked = float("-inf")
        self._paused_at: float | None = None
        self._waiting = 0
        self._open = asyncio.Event()
        self._open.set()
        self._ended = asyncio.Event()
        self._told: LRUCache[tuple[str, str, int], tuple[int, float]] = LRUCache(_TOLD)
        self.name = uuid4().hex[:12]
        """Tells this worker's notices from another's."""

    async def over(self) -> None:
        """Returns as soon as messages may be taken."""
        await self._open.wait()

    def handled(self) -> None:
        """Record that a message got through."""
        self._got_through = self._clock.monotonic()
        self._paused_at = None

    async def sit_out(self, away: BreakerOpen, in_flight: int) -> bool:
        """Wait for the next probe, or look, with nothing else going on, then True; False at once where other messages
        get through, or the worker is to end."""
        now, idle = self._clock.monotonic(), in_flight - self._waiting <= 1
        calm = sits_out(away, idle=idle, got_through=now - self._got_through, looked=now - self._looked)
        if self._ended.is_set() or not calm:
            return False
        if self._paused_at is None:
            log.warning("pausing", upstream=away.upstream, probe_in_s=round(away.probe_in, 1))
            self._paused_at = now
        look_in = max(0.0, self._paused_at + LOOK_EVERY_SECONDS - now)
        self._waiting += 1
        self._open.clear()
        try:
            async with asyncio.timeout(min(away.probe_in, look_in)):
                await self._ended.wait()
        except TimeoutError:
            if look_in <= away.probe_in:
                self._looked, self._paused_at = self._clock.monotonic(), None
            return True
        finally:
            self._waiting -= 1
            self._open.set()
        return False

    def end(self) -> None:
        """End the pause, because the worker stops: messages that wait go to a retry queue."""
        self._ended.set()

    def notice(self, run_id: str, away: BreakerOpen) -> int | None:
        """Return the number of the notice with which this run is to be told now that its upstream is away, counted from
        1; None where it was told lately."""
        key = (run_id, away.upstream, away.opening)
        now = self._clock.monotonic()
        number, told_at = self._told.get(key, (0, float("-inf")))
        if now - told_at < TELL_EVERY_SECONDS:
            return None
        self._told[key] = (number + 1, now)
        return number + 1
