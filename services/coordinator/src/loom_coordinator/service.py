"""The coordinator: its loops over one database."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from loom_common.bootstrap import Platform
from loom_common.flow import FACTS_QUEUE, RUNS_QUEUE
from loom_coordinator.desk import RequestDesk
from loom_coordinator.fleet import Fleet
from loom_coordinator.gauges import Gauges
from loom_coordinator.housekeeping import Housekeeping
from loom_coordinator.intake import FactIntake
from loom_coordinator.lost import LostWork
from loom_coordinator.notifying import Notifying
from loom_coordinator.outbox import Outbox
from loom_coordinator.pulse import Pulse
from loom_coordinator.settings import CoordinatorSettings
from loom_coordinator.throttle import Throttle
from loom_coordinator.underway import UnderWay
from loom_migrations.engine import open_engine
from loom_migrations.reachable import reachable


class Coordinator:
    """Takes requests and facts, relays what follows from them, and sweeps. Any number may run side by side."""

    def __init__(self, platform: Platform, engine: AsyncEngine, owner: str | None) -> None:
        self._engine = engine
        outbox = Outbox(engine, platform.bus, platform.clock, owner)
        under_way = UnderWay(platform.bus)
        self._loops = (
            under_way,
            RequestDesk(platform.bus, outbox, platform.payloads),
            FactIntake(platform.bus, outbox),
            Pulse(platform.bus, outbox, platform.clock, owner, under_way),
            Housekeeping(outbox, platform.payloads),
            Notifying(outbox, platform.credentials, platform.clock),
            *(() if platform.settings.embedded else _of_a_cluster(platform, outbox)),
        )
        self._relay = outbox
        self._ending = platform.ending

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: the relay goes last, so that everything committed is said."""
        relay_stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as relay:
                relay.create_task(self._ending.watched(self._relay.run(relay_stop)))
                try:
                    async with asyncio.TaskGroup() as loops:
                        for loop in self._loops:
                            loops.create_task(self._ending.watched(loop.run(stop)))
                finally:
                    relay_stop.set()
        finally:
            await self._engine.dispose()


def _of_a_cluster(platform: Platform, outbox: Outbox) -> tuple[Fleet | Throttle | LostWork, ...]:
    """What only a broker and replicas of their own make necessary."""
    patience = CoordinatorSettings().stuck_seconds
    bus = platform.bus
    return Fleet(bus, outbox), Throttle(bus, outbox), LostWork(bus, outbox, platform.clock, patience)


def build(platform: Platform, owner: str | None = None) -> Coordinator:
    """The service on its platform. `owner` names the embedded engine whose runs it minds; None in a cluster."""
    engine = open_engine(platform.settings.state.url.get_secret_value())
    platform.vitals.queues |= {RUNS_QUEUE, FACTS_QUEUE}
    platform.vitals.needs["state database"] = lambda: reachable(engine)
    gauges = Gauges(engine, platform.bus, platform.clock)
    platform.vitals.gauges += [gauges.runs, gauges.queues]
    return Coordinator(platform, engine, owner)
