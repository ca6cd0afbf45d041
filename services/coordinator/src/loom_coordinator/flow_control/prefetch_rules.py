"""Decides the prefetch limits: how many messages of a queue each of its consumers may have in flight. This module does
no I/O.

A worker handles all its messages in flight at the same time, so the limit is its concurrency. It is found as TCP finds
its window: raised by one while work waits and nothing speaks against it, halved where something gives way. What is
watched is what Vegas (Brakmo and Peterson 1995) watches: once messages take longer only because there are more of
them, another one brings no throughput, it only waits here instead of in the queue, where an idle replica could
take it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loom_common.domain.values.plural import counted

LEAST, MOST = 1, 64
SPARE = 4
"""The limit is not lowered below this because an upstream is away: a probe that is never answered occupies one message
for 30 s, and the messages behind it may need another upstream."""
TIGHT, HIGH = 0.75, 0.85
"""Shares of a replica's memory limit: above the first nothing is raised, above the second it is halved."""
FEW_QUEUEING, MANY_QUEUEING = 2.0, 4.0
"""Messages in flight that only wait for each other: below the first the limit may rise, above the second it falls."""
BRIEF = 0.25
"""The number of seconds. Of messages that take less, their time says nothing: they wait for the broker, not for each
other."""
FULL = 0.75
"""The share of the limit from which on it counts as reached: settled messages are replaced with a delay."""
PATIENCE = 2
"""Decisions in a row that must want the same before it is done."""
HOLD = 5
"""The number of decisions after a halving in which nothing is raised or halved again: its effect must show first."""
DRIFT = 0.01
"""Says how far the unhindered time follows a slower one at each decision: yesterday's small batches are forgotten."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Describes one queue and its consumers, over the last seconds."""

    ready: int
    """The number of messages that wait in the queue."""
    in_flight: int
    """Delivered to a replica and not acknowledged, over all replicas."""
    replicas: int
    configured: int
    """Says what a replica takes where nobody says otherwise."""
    rate: float
    """The number of messages handled per second, over all replicas."""
    seconds: float | None
    """Says how long a message was in the handler; None where none came to its end."""
    memory: float
    """Says what the fullest replica holds of its limit, 0 to 1 and beyond; 0 where nothing limits it."""
    away: tuple[str, ...] = ()
    """Upstreams whose breaker is open."""

    @property
    def idle(self) -> bool:
        return self.ready == 0 and self.in_flight == 0

    def full(self, prefetch: int) -> bool:
        """Return whether messages wait because the limit of every replica is reached."""
        return self.ready > 0 and self.in_flight >= FULL * prefetch * self.replicas

    def slack(self, prefetch: int) -> bool:
        """Return whether no message waits, and at most half of the limit is in flight."""
        return self.ready == 0 and 2 * self.in_flight <= prefetch * self.replicas


@dataclass(frozen=True, slots=True)
class Setting:
    """Holds a limit, and what must be remembered to decide the next one."""

    prefetch: int
    reason: str = "as configured"
    """Says why it is what it is."""
    streak: int = 0
    """Decisions in a row that wanted it raised (positive) or lowered (negative)."""
    hold: int = 0
    """The number of decisions until it may be raised or halved again."""
    unhindered: float | None = None
    """The least seconds a message took lately: what it takes where it waits for no other."""


def decide(setting: Setting, signals: Signals) -> Setting:
    """Decide the next limit, and say why. Bounded by `LEAST` and `MOST`; never higher for more memory held."""
    now = replace(setting, hold=max(0, setting.hold - 1), unhindered=_unhindered(setting, signals))
    decided = _by_load(now, signals)
    if signals.memory >= TIGHT:
        pressed = signals.memory >= HIGH and now.hold == 0
        tight = _halved(now, f"memory at {signals.memory:.0%} of its limit") if pressed else replace(now, streak=0)
        decided = min(tight, decided, key=lambda each: each.prefetch)
    return replace(decided, prefetch=max(LEAST, min(MOST, decided.prefetch)))


def queueing(prefetch: int, seconds: float | None, unhindered: float | None) -> float:
    """Return how many of the messages in flight only wait for the others."""
    if seconds is None or seconds < BRIEF or unhindered is None:
        return 0.0
    return prefetch * (1 - min(1.0, unhindered / seconds))


def _unhindered(setting: Setting, signals: Signals) -> float | None:
    known, now = setting.unhindered, signals.seconds
    if now is None:
        return None if signals.idle else known
    return now if known is None or now < known else known + DRIFT * (now - known)


def _by_load(setting: Setting, signals: Signals) -> Setting:
    """Decide by what the work itself asks for, whatever the memory."""
    now = setting.prefetch
    waiting = queueing(now, signals.seconds, setting.unhindered)
    if signals.away and signals.rate == 0:
        if setting.hold or now <= SPARE:
            return setting
        fewer = _halved(setting, f"nothing gets through: breaker open for {signals.away[0]}")
        return replace(fewer, prefetch=max(SPARE, fewer.prefetch))
    if waiting > MANY_QUEUEING:
        words = f"{waiting:.1f} of {now} in flight wait for the others"
        return _stepped(setting, -1, now - 1, words)
    if now > signals.configured and signals.slack(now):
        return _stepped(setting, -1, now - 1, "nothing waits")
    if now < signals.configured and signals.idle and not signals.away:
        return _stepped(setting, 1, now + 1, "back to what is configured")
    if signals.full(now) and waiting < FEW_QUEUEING and not signals.away and setting.hold == 0:
        above = now + 1 if now >= signals.configured else min(2 * now, signals.configured)
        waits = f"{counted(signals.ready, 'message')} {'waits' if signals.ready == 1 else 'wait'}"
        return _stepped(setting, 1, min(MOST, above), f"{waits} and every replica has its limit in flight")
    return replace(setting, streak=0)


def _stepped(setting: Setting, direction: int, prefetch: int, reason: str) -> Setting:
    """One step, once it was wanted `PATIENCE` times in a row."""
    streak = direction * (min(abs(setting.streak) + 1, PATIENCE) if setting.streak * direction > 0 else 1)
    if abs(streak) < PATIENCE or prefetch == setting.prefetch:
        return replace(setting, streak=streak)
    return replace(setting, prefetch=prefetch, reason=reason, streak=0)


def _halved(setting: Setting, reason: str) -> Setting:
    return replace(setting, prefetch=max(LEAST, setting.prefetch // 2), reason=reason, streak=0, hold=HOLD)
