"""Keeps the circuit breakers of one process, one per upstream.

While a breaker is open, guarded calls raise `BreakerOpen`. While it is half-open, they wait for the probe in flight,
unless that takes long, so that a batch continues by itself as soon as its upstream is back."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType

from loom_common.domain.run.breaker import Breaker, Policy, State, Ticket
from loom_common.errors import (
    BreakerOpen,
    Conflict,
    LoomError,
    NeverReached,
    RateLimited,
    Timeout,
    TransientError,
    UpstreamTroubled,
)
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock

PATIENCE_SECONDS = 5.0
"""Seconds that calls wait for a probe. Waiting calls occupy slots that calls of other upstreams may need; after this
time the message is retried later, which counts no attempt."""
_REMEMBERED = 1000
"""The most upstreams with a breaker. Above it, the one that was not called for longest is dropped."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Describes the state of a breaker, to be shown."""

    upstream: str
    state: State
    failures: int
    """The number of calls that failed since one last succeeded."""
    openings: int
    probe_in: float
    """The number of seconds until the next probe; 0 where it is not open."""


@dataclass(slots=True)
class _Guarded:
    breaker: Breaker
    reached: bool = False
    """Tells whether the upstream was ever reached."""
    sought_since: float | None = None
    """Says when it could not be reached for the first time, if it was never reached since."""
    reason: str | None = None
    """The message of the last failure."""
    failed_on: set[str] = field(default_factory=set)
    """Holds the questions that it has failed on since it last worked. Only those that it answered with a failure are
    included."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Breakers:
    """Keeps one breaker per upstream, created at the first call."""

    def __init__(
        self, policy: Policy | None = None, clock: Clock | None = None, seek_seconds: float | None = None
    ) -> None:
        """`seek_seconds` is how long an upstream that was never reached is tried before `NeverReached` is raised
        instead of `BreakerOpen`; None for no limit."""
        self._policy = policy or Policy()
        self._seek_seconds = seek_seconds
        self._clock = clock or SystemClock()
        self._guarded: OrderedDict[str, _Guarded] = OrderedDict()

    def guarding(self, upstream: str, about: Callable[[], str] | None = None) -> _Guard:
        """Guard one call of `upstream` within the block; `about` returns a name of the question.

        A transient error counts as a failure of the upstream, except `RateLimited` and `Conflict`. Any other result
        shows that the upstream works. Where it answers that it cannot serve a question, or times out, the same question
        counts only once before the breaker is open: the question may be the cause, and waiting for the upstream would
        then never end.

        Raises `BreakerOpen` instead of calling, and in place of the failure that opens the breaker."""
        return _Guard(self, upstream, about)

    async def admitted(self, upstream: str) -> tuple[_Guarded, Ticket]:
        """Return the permission for a call, once there is one. Raises `BreakerOpen`."""
        guarded = self._of(upstream)
        return guarded, await self._admitted(upstream, guarded)

    def ended(
        self,
        upstream: str,
        guarded: _Guarded,
        ticket: Ticket,
        error: BaseException | None,
        about: Callable[[], str] | None,
    ) -> None:
        """Note how a call ended. Raises `BreakerOpen` in place of the failure that opens the breaker."""
        breaker = guarded.breaker
        try:
            match error:
                case RateLimited() | Conflict():
                    self._was_there(guarded)
                    breaker.abandoned(ticket)
                case TransientError():
                    if _said_before(error, about, guarded) and not ticket.probe:
                        return
                    self._sought(guarded, error)
                    self._failed(upstream, breaker, ticket)
                    guarded.reason = str(error)
                    if breaker.state is State.OPEN:
                        raise self._open(upstream, guarded) from error
                case None | LoomError():
                    guarded.failed_on.clear()
                    self._was_there(guarded)
                    self._succeeded(upstream, breaker, ticket)
                case _:
                    breaker.abandoned(ticket)
        finally:
            guarded.changed.set()  # wakes those that wait now, and nobody who waits from now on
            guarded.changed.clear()

    def snapshot(self) -> list[Snapshot]:
        """Return the state of every upstream that was called lately."""
        now = self._clock.monotonic()
        return [
            Snapshot(upstream, each.state, each.failures, each.opening, each.probe_in(now))
            for upstream, each in ((name, guarded.breaker) for name, guarded in self._guarded.items())
        ]

    def _of(self, upstream: str) -> _Guarded:
        guarded = self._guarded.get(upstream)
        if guarded is None:
            guarded = self._guarded[upstream] = _Guarded(Breaker(self._seeking_policy()))
        self._guarded.move_to_end(upstream)
        if len(self._guarded) > _REMEMBERED:
            self._guarded.popitem(last=False)
        return guarded

    async def _admitted(self, upstream: str, guarded: _Guarded) -> Ticket:
        while (ticket := guarded.breaker.admit(self._clock.monotonic())) is None:
            patience = guarded.breaker.probed_at + PATIENCE_SECONDS - self._clock.monotonic()
            if guarded.breaker.state is State.OPEN or patience <= 0:
                raise self._open(upstream, guarded)
            try:
                async with asyncio.timeout(patience):
                    await guarded.changed.wait()
            except TimeoutError:
                raise self._open(upstream, guarded) from None
        return ticket

    def _seeking_policy(self) -> Policy:
        """Return the policy for an upstream that was never reached: one failure opens its breaker, and a probe follows
        soon."""
        if self._seek_seconds is None:
            return self._policy
        return replace(self._policy, failures=1, open_seconds=min(self._policy.open_seconds, self._seek_seconds / 3))

    def _was_there(self, guarded: _Guarded) -> None:
        guarded.reached, guarded.breaker.policy = True, self._policy

    def _sought(self, guarded: _Guarded, error: TransientError) -> None:
        if guarded.reached or self._seek_seconds is None:
            return
        if isinstance(error, Timeout | UpstreamTroubled):  # the upstream answered
            self._was_there(guarded)
        elif guarded.sought_since is None:
            guarded.sought_since = self._clock.monotonic()

    def _failed(self, upstream: str, breaker: Breaker, ticket: Ticket) -> None:
        before = breaker.opening
        breaker.failed(ticket, self._clock.monotonic())
        if breaker.opening != before:
            log.warning("breaker open", upstream=upstream, for_s=breaker.policy.open_seconds, failures=breaker.failures)

    def _succeeded(self, upstream: str, breaker: Breaker, ticket: Ticket) -> None:
        before = breaker.state
        breaker.succeeded(ticket)
        if before is State.HALF_OPEN and breaker.state is State.CLOSED:
            log.info("breaker closed", upstream=upstream)

    def _open(self, upstream: str, guarded: _Guarded) -> BreakerOpen:
        breaker, now = guarded.breaker, self._clock.monotonic()
        since, kind = breaker.opened_at, BreakerOpen
        sought = None if guarded.reached else guarded.sought_since
        if sought is not None and self._seek_seconds is not None and now - sought >= self._seek_seconds:
            since, kind = sought, NeverReached
            self._guarded.pop(upstream, None)  # another run may try to reach it anew
        return kind(
            upstream,
            probe_in=max(1.0, breaker.probe_in(now)),
            opened_for=now - since,
            opening=breaker.opening,
            reason=guarded.reason,
        )


class _Guard:
    """Guards one call, as `Breakers.guarding` says. It is a class, because every model call passes it, and a generator
    takes longer."""

    __slots__ = ("_about", "_breakers", "_guarded", "_ticket", "_upstream")
    _guarded: _Guarded
    _ticket: Ticket

    def __init__(self, breakers: Breakers, upstream: str, about: Callable[[], str] | None) -> None:
        self._breakers = breakers
        self._upstream = upstream
        self._about = about

    async def __aenter__(self) -> None:
        self._guarded, self._ticket = await self._breakers.admitted(self._upstream)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._breakers.ended(self._upstream, self._guarded, self._ticket, error, self._about)


def _said_before(error: TransientError, about: Callable[[], str] | None, guarded: _Guarded) -> bool:
    """Say whether the upstream works, and has only failed again on a question that it failed on before."""
    if about is None or not isinstance(error, UpstreamTroubled | Timeout):
        return False
    question = about()
    if question in guarded.failed_on:
        return True
    if len(guarded.failed_on) < _REMEMBERED:
        guarded.failed_on.add(question)
    return False
