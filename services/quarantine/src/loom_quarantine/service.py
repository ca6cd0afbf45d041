"""Composes the quarantine service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom_common import flow
from loom_common.contracts.v1 import DiscardRequest, ExtractSlice, RecordsLoaded, RecordsQuarantined, RunFinished
from loom_common.service.bootstrap import Platform, Service
from loom_common.service.stage_service import StageService
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_migrations.engine import open_engine
from loom_migrations.reachable import reachable
from loom_quarantine.handler import Quarantine
from loom_quarantine.replays.run_ends import RunEnds
from loom_quarantine.replays.source import Replay


def build(platform: Platform) -> Service:
    """Return the quarantine service on `platform`, which stores, replays and resolves records."""
    engine = open_engine(platform.settings.state.url.get_secret_value())
    platform.stats.needs["state database"] = lambda: reachable(engine)
    prefetch = platform.settings.worker.prefetch
    quarantine = Quarantine(engine, platform.clock)
    replay, run_ends = Replay(platform.plans, engine, platform.sealed), RunEnds(engine, platform.clock)
    keeping = (
        Accepts(RecordsQuarantined, quarantine.keep, router.kept),
        Accepts(RecordsLoaded, quarantine.resolve, router.nothing),
        Accepts(DiscardRequest, quarantine.discard, router.nothing),
    )
    replaying = (Accepts(ExtractSlice, platform.sealed.of(replay), router.sliced),)
    ending = (Accepts(RunFinished, run_ends, router.nothing),)
    consumers = [
        ConsumerSpec(flow.QUARANTINE_QUEUE, keeping, prefetch),
        ConsumerSpec(flow.REPLAY_QUEUE, replaying, prefetch),
        ConsumerSpec(flow.RUN_ENDS_QUEUE, ending, prefetch),
    ]

    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await engine.dispose()

    return StageService("quarantine", consumers, platform, closing)
