"""Composes the coordinator: its loops over one database."""

from __future__ import annotations

import asyncio
from typing import Protocol

from loom_ai.stores.beside_budgets import open_group_members, open_received_pages
from loom_common.async_engine import AsyncEngine
from loom_common.flow import FACTS_QUEUE, RUNS_QUEUE
from loom_common.service.bootstrap import Platform
from loom_coordinator.alerts.sender import AlertSender
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.pipeline_metrics import PipelineMetrics
from loom_coordinator.flow_control.batch_progress import UnderWay
from loom_coordinator.flow_control.heartbeats import Fleet
from loom_coordinator.flow_control.prefetch_loop import PrefetchLoop
from loom_coordinator.intake.asking.permissions import Permissions
from loom_coordinator.intake.fact_consumer import FactConsumer
from loom_coordinator.intake.place_answers import PlaceAnswers
from loom_coordinator.intake.request_consumer import RequestConsumer
from loom_coordinator.queries.metrics import Gauges
from loom_coordinator.settings import CoordinatorSettings
from loom_coordinator.sweeping.broker_loss import BrokerLoss
from loom_coordinator.sweeping.epoch_answers import EpochAnswers
from loom_coordinator.sweeping.payload_cleanup import PayloadCleanup
from loom_coordinator.sweeping.received_cleanup import ReceivedCleanup
from loom_coordinator.sweeping.sweeper import Sweeper
from loom_coordinator.sweeping.unserved import Unserved
from loom_migrations.engine import open_engine
from loom_migrations.reachable import reachable

_PING_AFTER_SECONDS = 1.0
"""All that the coordinator does in a transaction is done again where the connection was lost."""


class Loop(Protocol):
    """Does one of the coordinator's tasks until it is stopped."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        ...


class Coordinator:
    """Takes requests and facts, relays what follows from them, and sweeps. Any number may run side by side."""

    def __init__(self, platform: Platform, engine: AsyncEngine, owner: str | None, metrics: PipelineMetrics) -> None:
        self._engine = engine
        outbox = OutboxRelay(engine, platform.bus, platform.clock, owner, metrics)
        under_way = UnderWay(platform.bus)
        permissions = Permissions() if platform.settings.embedded else _permissions(platform)
        every_hop = platform.settings.every_hop
        places = PlaceAnswers(outbox, platform.payloads, permissions, every_hop=every_hop)
        self._loops: tuple[Loop, ...] = (
            under_way,
            RequestConsumer(
                platform.bus,
                outbox,
                platform.payloads,
                platform.keyring,
                every_hop=every_hop,
                permissions=permissions,
            ),
            FactConsumer(platform.bus, outbox, places),
            Sweeper(platform.bus, outbox, platform.clock, owner, under_way),
            PayloadCleanup(outbox, platform.payloads),
            ReceivedCleanup(
                outbox,
                lambda: open_received_pages(platform.settings),
                lambda: open_group_members(platform.settings),
            ),
            AlertSender(outbox, platform.credentials, platform.clock),
            *_of_lineage(platform, outbox),
            *(() if platform.settings.embedded else _of_a_cluster(platform, outbox)),
        )
        self._relay = outbox
        self._watchdog = platform.watchdog

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`: the relay goes last, so that everything committed is said."""
        relay_stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as relay:
                relay.create_task(self._watchdog.watched(self._relay.run(relay_stop)))
                try:
                    async with asyncio.TaskGroup() as loops:
                        for loop in self._loops:
                            loops.create_task(self._watchdog.watched(loop.run(stop)))
                finally:
                    relay_stop.set()
        finally:
            await self._engine.dispose()


def _permissions(platform: Platform) -> Permissions:
    """Return what decides who may ask over AMQP. The user of the coordinator itself is that of Loom's services."""
    settings = CoordinatorSettings()
    from yarl import URL  # an embedded run, which imports this module, has no address of a broker

    own = URL(platform.settings.bus.url.get_secret_value()).user or "guest"
    return Permissions.read(settings.access_file, (own, *settings.trusted_users))


def _of_lineage(platform: Platform, outbox: OutboxRelay) -> tuple[Loop, ...]:
    """Add what tells lineage collectors of runs, where some are configured."""
    settings, project = platform.settings.openlineage, platform.settings.project_dir.resolve()
    if not settings.on:
        return ()
    from loom_coordinator.openlineage.sender import LineageSender  # most projects tell nobody
    from loom_coordinator.openlineage.transport import Transport

    transport = Transport(settings, platform.credentials, project)
    return (LineageSender(outbox, transport, settings, project, platform.clock),)


def _of_a_cluster(platform: Platform, outbox: OutboxRelay) -> tuple[Loop, ...]:
    """Add what only a broker and replicas of their own make necessary."""
    settings = CoordinatorSettings()
    patience = settings.stuck_seconds
    bus = platform.bus
    lost = BrokerLoss(bus, outbox, platform.clock, patience)
    return (
        Fleet(bus, outbox),
        PrefetchLoop(bus, outbox, facts_together=settings.facts_together),
        lost,
        Unserved(bus, outbox),
        EpochAnswers(bus, outbox),
    )


def build(platform: Platform, owner: str | None = None) -> Coordinator:
    """Build the service on its platform. `owner` names the embedded engine whose runs it minds; None in a cluster."""
    engine = open_engine(platform.settings.state.url.get_secret_value(), ping_after=_PING_AFTER_SECONDS)
    platform.stats.queues |= {RUNS_QUEUE, FACTS_QUEUE}
    platform.stats.needs["state database"] = lambda: reachable(engine)
    metrics = PipelineMetrics()
    gauges = Gauges(engine, platform.bus, platform.clock, metrics)
    platform.stats.gauges += [gauges.runs, gauges.queues, gauges.quality, gauges.pipelines]
    return Coordinator(platform, engine, owner, metrics)
