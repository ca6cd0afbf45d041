"""Circuit breakers of one process, by upstream. What guards a call here is told of how it ended.

While a breaker is open, guarded calls raise `BreakerOpen` at once; while it is half-open, they queue up behind the
probe under way, unless that takes long: so a batch in hand goes on by itself as soon as its upstream is back."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from loom_common.domain.breaker import Breaker, Policy, State, Ticket
from loom_common.errors import BreakerOpen, LoomError, RateLimited, Timeout, TransientError, UpstreamTroubled
from loom_common.ports.clock import Clock, SystemClock

log = structlog.get_logger()

PATIENCE_SECONDS = 5.0
"""How old a probe may be for calls to queue up behind it. They hold places that calls of other upstreams may want; what
does not get its turn waits on the retry ladder, and costs no attempt."""
_REMEMBERED = 1000
"""Upstreams. Beyond, the one not called for longest is forgotten."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A breaker as it stands, to be shown."""

    upstream: str
    state: State
    failures: int
    """In a row."""
    openings: int
    probe_in: float
    """Seconds until the next probe; 0 where it is not open."""


@dataclass(slots=True)
class _Guarded:
    breaker: Breaker
    reason: str | None = None
    """How it failed last."""
    failed_on: set[str] = field(default_factory=set)
    """What it was asked when it failed, since it was last there: questions that it answered, but could not serve."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Breakers:
    """One breaker per upstream, made at the first call."""

    def __init__(self, policy: Policy | None = None, clock: Clock | None = None) -> None:
        self._policy = policy or Policy()
        self._clock = clock or SystemClock()
        self._guarded: OrderedDict[str, _Guarded] = OrderedDict()

    @asynccontextmanager
    async def guarding(self, upstream: str, about: Callable[[], str] | None = None) -> AsyncIterator[None]:
        """Around one call of `upstream`, named as it may be shown; `about` names what it is asked.

        Transient errors count as its failures, but for `RateLimited`; every other answer shows that it is there. Where
        it answers that it cannot serve a question, or does not in time, the same question counts once until it is open:
        the question may be at fault, and whoever waited for the upstream then would wait for ever.

        Raises `BreakerOpen` instead of calling, and in place of the failure that opens the breaker."""
        guarded = self._of(upstream)
        breaker, ticket = guarded.breaker, await self._admitted(upstream, guarded)
        try:
            yield
        except RateLimited:
            breaker.abandoned(ticket)
            raise
        except TransientError as error:
            if _said_before(error, about, guarded) and not ticket.probe:
                raise
            self._failed(upstream, breaker, ticket)
            guarded.reason = str(error)
            if breaker.state is State.OPEN:
                raise self._open(upstream, guarded) from error
            raise
        except LoomError:
            guarded.failed_on.clear()
            self._succeeded(upstream, breaker, ticket)
            raise
        except BaseException:
            breaker.abandoned(ticket)
            raise
        else:
            guarded.failed_on.clear()
            self._succeeded(upstream, breaker, ticket)
        finally:
            guarded.changed.set()
            guarded.changed = asyncio.Event()

    def snapshot(self) -> list[Snapshot]:
        """Every upstream called lately."""
        now = self._clock.monotonic()
        return [
            Snapshot(upstream, each.state, each.failures, each.opening, each.probe_in(now))
            for upstream, each in ((name, guarded.breaker) for name, guarded in self._guarded.items())
        ]

    def _of(self, upstream: str) -> _Guarded:
        guarded = self._guarded.setdefault(upstream, _Guarded(Breaker(self._policy)))
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
        return BreakerOpen(
            upstream,
            probe_in=max(1.0, breaker.probe_in(now)),
            opened_for=now - breaker.opened_at,
            opening=breaker.opening,
            reason=guarded.reason,
        )


def _said_before(error: TransientError, about: Callable[[], str] | None, guarded: _Guarded) -> bool:
    """Whether the upstream is there, and only failed again on a question that it failed on before."""
    if about is None or not isinstance(error, UpstreamTroubled | Timeout):
        return False
    question = about()
    if question in guarded.failed_on:
        return True
    if len(guarded.failed_on) < _REMEMBERED:
        guarded.failed_on.add(question)
    return False
