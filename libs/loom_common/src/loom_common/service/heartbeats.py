"""A replica says that it is there and how it goes, about every two seconds. The coordinator keeps what it hears.

A beat that is lost is made good by the next, so nothing waits for one: it is published without `mandatory`, and one
that cannot be published is forgotten."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BreakerBeat, QueueBeat, WorkerBeat
from loom_common.domain.run.breaker import State
from loom_common.errors import LoomError
from loom_common.ports.bus import Bus, QueueState
from loom_common.ports.clock import Clock
from loom_common.resilience import process_memory
from loom_common.resilience.breakers import Breakers
from loom_common.worker.stats import MessageOutcome, ProcessStats

log = structlog.get_logger()

BEAT_SECONDS = 2.0
_MOST_BREAKERS = 20


def replica_name() -> str:
    """A name that no other start of any process has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Heartbeats:
    """Of one process. `stop` is the event that asks its service to end."""

    def __init__(
        self,
        service: str,
        bus: Bus,
        vitals: ProcessStats,
        breakers: Breakers,
        clock: Clock,
        stop: asyncio.Event,
        *,
        configured_prefetch: int,
    ) -> None:
        self._service = service
        self._bus = bus
        self._vitals = vitals
        self._breakers = breakers
        self._clock = clock
        self._stop = stop
        self._configured = configured_prefetch
        self._replica = replica_name()
        self._born = clock.monotonic()
        self._memory_limit = process_memory.limit()

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._bus.publish([encode(Outgoing(self._route, self.beat(), mandatory=False), self._service)])
            except LoomError as error:
                log.debug("beat not heard", error=str(error))
            await self._clock.sleep(BEAT_SECONDS)

    @property
    def _route(self) -> flow.Route:
        return flow.beat(self._service)

    def beat(self) -> WorkerBeat:
        """How it goes just now."""
        standing = self._bus.standing()
        return WorkerBeat(
            service=self._service,
            replica=self._replica,
            uptime=self._clock.monotonic() - self._born,
            configured_prefetch=self._configured,
            queues=tuple(self._queue(name, standing) for name in sorted(self._vitals.queues)),
            rss_bytes=process_memory.held(),
            memory_limit_bytes=self._memory_limit,
            breakers=self._restless(),
            draining=self._stop.is_set(),
        )

    def _queue(self, name: str, standing: QueueState) -> QueueBeat:
        duty = self._vitals.duties.get(name)
        return QueueBeat(
            queue=name,
            prefetch=standing.prefetch(name),
            in_hand=len(duty.in_hand) if duty else 0,
            handled=duty.outcomes[MessageOutcome.HANDLED] if duty else 0,
            failed=duty.outcomes[MessageOutcome.FAILED] if duty else 0,
            retried=duty.outcomes[MessageOutcome.RETRIED] if duty else 0,
            attempts=sum(duty.durations.counts) if duty else 0,
            seconds_busy=duty.worked if duty else 0.0,
        )

    def _restless(self) -> tuple[BreakerBeat, ...]:
        """The open ones first: of many, the first few tell enough."""
        restless = [each for each in self._breakers.snapshot() if each.failures or each.state is not State.CLOSED]
        restless.sort(key=lambda each: (each.state is State.CLOSED, -each.failures))
        return tuple(
            BreakerBeat(upstream=each.upstream, state=each.state, failures=each.failures, probe_in=each.probe_in)
            for each in restless[:_MOST_BREAKERS]
        )


@asynccontextmanager
async def beating(heart: Heartbeats) -> AsyncIterator[None]:
    """Beat to the very end of the body, so that a service that drains is seen to."""
    running = asyncio.create_task(heart.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
