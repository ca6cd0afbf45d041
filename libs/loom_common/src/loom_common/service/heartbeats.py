"""Reports about every two seconds that a replica runs, and its state. The coordinator stores it.

A lost heartbeat is made up for by the next one. It is therefore published without `mandatory`, and one that cannot be
published is dropped."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BreakerBeat, QueueBeat, WorkerBeat
from loom_common.domain.run.breaker import State
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, QueueState
from loom_common.ports.clock import Clock
from loom_common.resilience import process_memory
from loom_common.resilience.breakers import Breakers
from loom_common.worker.consuming.stats import MessageOutcome, ProcessStats

BEAT_SECONDS = 2.0
_MOST_BREAKERS = 20


def replica_name() -> str:
    """Return a name that no other start of any process has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Heartbeats:
    """Sends the heartbeats of one process. `stop` is the event that asks its service to end."""

    def __init__(
        self,
        service: str,
        bus: Bus,
        stats: ProcessStats,
        breakers: Breakers,
        clock: Clock,
        stop: asyncio.Event,
        *,
        configured_prefetch: int,
    ) -> None:
        self._service = service
        self._bus = bus
        self._stats = stats
        self._breakers = breakers
        self._clock = clock
        self._stop = stop
        self._configured = configured_prefetch
        self._replica = replica_name()
        self._born = clock.monotonic()
        self._memory_limit = process_memory.limit()

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
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
        """Return the current heartbeat."""
        standing = self._bus.standing()
        return WorkerBeat(
            service=self._service,
            replica=self._replica,
            uptime=self._clock.monotonic() - self._born,
            configured_prefetch=self._configured,
            queues=tuple(self._queue(name, standing) for name in sorted(self._stats.queues)),
            rss_bytes=process_memory.held(),
            memory_limit_bytes=self._memory_limit,
            breakers=self._restless(),
            draining=self._stop.is_set(),
        )

    def _queue(self, name: str, standing: QueueState) -> QueueBeat:
        consumer = self._stats.consumers.get(name)
        return QueueBeat(
            queue=name,
            prefetch=standing.prefetch(name),
            in_hand=len(consumer.in_flight) if consumer else 0,
            handled=consumer.outcomes[MessageOutcome.HANDLED] if consumer else 0,
            failed=consumer.outcomes[MessageOutcome.FAILED] if consumer else 0,
            retried=consumer.outcomes[MessageOutcome.RETRIED] if consumer else 0,
            attempts=sum(consumer.durations.counts) if consumer else 0,
            seconds_busy=consumer.worked if consumer else 0.0,
        )

    def _restless(self) -> tuple[BreakerBeat, ...]:
        """Return the breakers that are not closed and idle, open ones first. The number is limited."""
        restless = [each for each in self._breakers.snapshot() if each.failures or each.state is not State.CLOSED]
        restless.sort(key=lambda each: (each.state is State.CLOSED, -each.failures))
        return tuple(
            BreakerBeat(upstream=each.upstream, state=each.state, failures=each.failures, probe_in=each.probe_in)
            for each in restless[:_MOST_BREAKERS]
        )


@asynccontextmanager
async def beating(heartbeats: Heartbeats) -> AsyncIterator[None]:
    """Send heartbeats until the end of the block, so that a service that drains is still seen."""
    running = asyncio.create_task(heartbeats.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
