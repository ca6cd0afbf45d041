"""Keeps the replicas of every service by their heartbeats, in the table `replicas`, until they have been silent for
long.

Each coordinator hears all beats on a temporary queue of its own. Shared, the queue would give each coordinator a part
of the fleet, and pile up beats while none runs; and a beat that is old tells nothing. Several coordinators write the
same rows, which is once. Beats have a consumer of their own, so that they never stand in the way of facts."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from dataclasses import dataclass, field

from sqlalchemy import bindparam, delete

from loom_common.contracts.v1 import WorkerBeat
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_common.service.periodic import every
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.monitoring import replicas
from loom_coordinator.flow_control.event_listener import listening

SILENCE_SECONDS = 60.0
"""A replica that was not heard of for so long is gone."""
RATE_SECONDS = 10.0
"""Rates are over about so long."""
_WRITE_SECONDS = 2.0
_GONE = delete(replicas).where(replicas.c.seen_at < bindparam("since"))


@dataclass(slots=True)
class Heartbeat:
    """Holds the heartbeats of one replica over the last `RATE_SECONDS`, oldest first."""

    beats: deque[WorkerBeat] = field(default_factory=deque)
    at: float = 0.0
    """Says when the newest came, by the event loop's clock."""

    def add(self, beat: WorkerBeat, at: float) -> None:
        self.beats.append(beat)
        self.at = at
        while len(self.beats) > 2 and beat.uptime - self.beats[1].uptime >= RATE_SECONDS:
            self.beats.popleft()


class Fleet:
    """Hears beats, and writes down what it heard every two seconds."""

    def __init__(self, bus: Bus, outbox: OutboxRelay) -> None:
        self._bus = bus
        self._outbox = outbox
        self._heard: dict[str, Heartbeat] = {}
        self._fresh: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`."""
        async with listening(self._bus, "worker.beat.*", WorkerBeat, self._hear) as receiving:
            async for _ in every(_WRITE_SECONDS, stop):
                if receiving.done():
                    receiving.result()
                await self._write()
            await self._write()

    def _hear(self, beat: WorkerBeat) -> None:
        self._heard.setdefault(beat.replica, Heartbeat()).add(beat, asyncio.get_running_loop().time())
        self._fresh.add(beat.replica)

    async def _write(self) -> None:
        """What is not written because the database is away is old by the time it is back."""
        fresh, self._fresh = self._fresh, set()
        silent_since = asyncio.get_running_loop().time() - SILENCE_SECONDS
        self._heard = {name: heard for name, heard in self._heard.items() if heard.at >= silent_since}
        try:
            async with self._outbox.unit() as unit:
                await unit.upsert(
                    replicas, [_row(self._heard[name], unit.now) for name in sorted(fresh & self._heard.keys())]
                )
                await unit.connection.execute(_GONE, {"since": unit.now - dt.timedelta(seconds=SILENCE_SECONDS)})
        except DependencyUnavailable as error:
            log.warning("the fleet cannot be written down", error=str(error))


def _row(heard: Heartbeat, now: dt.datetime) -> dict[str, object]:
    newest, oldest = heard.beats[-1], heard.beats[0]
    return {
        "replica": newest.replica,
        "service": newest.service,
        "seen_at": now,
        "beat": newest.model_dump(mode="json"),
        "before": oldest.model_dump(mode="json") if oldest is not newest else None,
    }
