"""When a worker stops taking messages, because nothing it could do would succeed (docs/adr/0005).

A message that meets an open breaker costs no attempt. Where other messages get through, it waits on the retry ladder
while they do: one run's dead endpoint must not hold up another run. Where nothing does, the worker takes nothing more
until the next probe, and holds what it has; but every few seconds it looks whether there is other work by now."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from uuid import uuid4

import structlog

from loom_common.errors import BreakerOpen
from loom_common.ports.clock import Clock, SystemClock

log = structlog.get_logger()

LOOK_SECONDS = 1.0
"""After a breaker opened, what needs it is waved through to the retry ladder for so long: whatever else lies in the
queue behind it is reached, and shows whether there is other work to do."""
LOOK_EVERY_SECONDS = 5.0
"""A pausing worker does the same again so often: a probe may be a minute away, and take another half to fail."""
_TOLD = 1000
"""Notices remembered, so that none is given twice."""


def sits_out(away: BreakerOpen, *, idle: bool, got_through: float, looked: float) -> bool:
    """Whether to stop taking messages for now. `idle`: no other message is being worked on; `got_through`: seconds
    since one was handled; `looked`: since the worker last began to look for other work. Pure."""
    return idle and min(away.opened_for, looked) >= LOOK_SECONDS and away.opened_for <= got_through


class BreakerPause:
    """Of one worker."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._got_through = self._looked = float("-inf")
        self._paused_at: float | None = None
        self._waiting = 0
        self._open = asyncio.Event()
        self._open.set()
        self._ended = asyncio.Event()
        self._told: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self.name = uuid4().hex[:12]
        """Tells this worker's notices from another's."""

    async def over(self) -> None:
        """Returns as soon as messages may be taken."""
        await self._open.wait()

    def handled(self) -> None:
        """A message got through."""
        self._got_through = self._clock.monotonic()
        self._paused_at = None

    async def sit_out(self, away: BreakerOpen, in_hand: int) -> bool:
        """Wait for the next probe, or look, with nothing else going on, then True; False at once where other messages
        get through, or the worker is to end."""
        now, idle = self._clock.monotonic(), in_hand - self._waiting <= 1
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
        """The worker is to end: who waits goes on the retry ladder."""
        self._ended.set()

    def first_notice(self, run_id: str, away: BreakerOpen) -> bool:
        """Whether this run has not been told yet that its upstream is away."""
        key = (run_id, away.upstream, away.opening)
        if key in self._told:
            return False
        self._told[key] = None
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)
        return True
