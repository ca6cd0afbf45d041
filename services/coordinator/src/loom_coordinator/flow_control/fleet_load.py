"""Computes how the fleet fares from the newest heartbeats: by replica, and by queue over all its consumers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import QueueBeat, WorkerBeat
from loom_coordinator.db.tables.monitoring import replicas

SILENT_SECONDS = 8.0
"""A replica that was not heard of for so long does not count: it ended, froze, or cannot reach the broker."""


@dataclass(frozen=True, slots=True)
class Replica:
    """Describes one process, as it last said it was."""

    beat: WorkerBeat
    before: WorkerBeat | None
    """Says what it said some seconds earlier."""
    silent: float
    """The number of seconds since it was heard."""

    @property
    def up(self) -> bool:
        return self.silent < SILENT_SECONDS

    @property
    def lost(self) -> bool:
        """Tell whether it fell silent without having been asked to stop."""
        return not self.up and not self.beat.draining

    @property
    def memory(self) -> float:
        """Return what it holds of its memory limit; 0 where it has none."""
        return self.beat.rss_bytes / self.beat.memory_limit_bytes if self.beat.memory_limit_bytes else 0.0

    @property
    def away(self) -> tuple[str, ...]:
        """Return the upstreams that the replica has given up on for the moment."""
        return tuple(each.upstream for each in self.beat.breakers if each.state != "closed")

    def rates(self, queue: str) -> QueueRates:
        """Return what it did with a queue between the two beats."""
        now = _of(self.beat, queue)
        earlier = _of(self.before, queue) if self.before else None
        if now is None or earlier is None or self.before is None:
            return QueueRates(0.0, 0, 0, 0, 0, 0.0)
        return QueueRates(
            seconds=self.beat.uptime - self.before.uptime,
            handled=now.handled - earlier.handled,
            failed=now.failed - earlier.failed,
            retried=now.retried - earlier.retried,
            attempts=now.attempts - earlier.attempts,
            busy=now.seconds_busy - earlier.seconds_busy,
        )


@dataclass(frozen=True, slots=True)
class QueueRates:
    """Counts what one replica did with the messages of one queue within some seconds."""

    seconds: float
    handled: int
    failed: int
    retried: int
    attempts: int
    busy: float

    def per_second(self, count: int) -> float:
        return count / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class FleetLoad:
    """Describes one queue and the replicas that consume it."""

    queue: str
    service: str
    replicas: int
    prefetch: tuple[int, ...]
    """Every limit in force; more than one while a new one is on its way."""
    configured: int
    in_flight: int
    handled: float
    """A rate per second, over all replicas; so are the next two."""
    failed: float
    retried: float
    seconds: float | None
    """Mean time in the handler; None where nothing came to its end."""
    memory: float
    """The value of the replica nearest to its limit."""
    away: tuple[str, ...]


async def read(connection: AsyncConnection, now: dt.datetime) -> list[Replica]:
    """Return the fleet as it is written down, by service and name."""
    rows = await connection.execute(select(replicas).order_by(replicas.c.service, replicas.c.replica))
    return [
        Replica(
            beat=WorkerBeat.model_validate(row["beat"]),
            before=WorkerBeat.model_validate(row["before"]) if row["before"] else None,
            silent=max(0.0, (now - row["seen_at"]).total_seconds()),
        )
        for row in rows.mappings()
    ]


def loads(fleet: Iterable[Replica]) -> Mapping[str, FleetLoad]:
    """Return the loads by queue, from the replicas that are up."""
    by_queue: dict[str, list[Replica]] = {}
    for replica in fleet:
        for each in replica.beat.queues if replica.up else ():
            by_queue.setdefault(each.queue, []).append(replica)
    return {queue: _load(queue, consumers) for queue, consumers in by_queue.items()}


def _load(queue: str, consumers: list[Replica]) -> FleetLoad:
    beats = [beat for beat in (_of(each.beat, queue) for each in consumers) if beat]
    rates = [each.rates(queue) for each in consumers]
    attempts = sum(each.attempts for each in rates)
    return FleetLoad(
        queue=queue,
        service=consumers[0].beat.service,
        replicas=len(consumers),
        prefetch=tuple(sorted({beat.prefetch for beat in beats})),
        configured=max(each.beat.configured_prefetch for each in consumers),
        in_flight=sum(beat.in_hand for beat in beats),
        handled=sum(each.per_second(each.handled) for each in rates),
        failed=sum(each.per_second(each.failed) for each in rates),
        retried=sum(each.per_second(each.retried) for each in rates),
        seconds=sum(each.busy for each in rates) / attempts if attempts else None,
        memory=max(each.memory for each in consumers),
        away=tuple(dict.fromkeys(upstream for each in consumers for upstream in each.away)),
    )


def _of(beat: WorkerBeat, queue: str) -> QueueBeat | None:
    return next((each for each in beat.queues if each.queue == queue), None)
