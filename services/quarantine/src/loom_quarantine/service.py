"""How the quarantine is put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom_common import flow
from loom_common.contracts.v1 import DiscardRequest, ExtractSlice, RecordsLoaded, RecordsQuarantined, RunFinished
from loom_common.service.bootstrap import Platform, Service, StageService
from loom_common.worker.worker import ConsumerSpec
from loom_migrations.engine import open_engine
from loom_migrations.reachable import reachable
from loom_quarantine.handler import Quarantine
from loom_quarantine.replays.run_ends import RunEnds
from loom_quarantine.replays.source import Replay


def build(platform: Platform) -> Service:
    """The quarantine service on `platform`: it keeps records, replays them, and resolves what a replay got through."""
    engine = open_engine(platform.settings.state.url.get_secret_value())
    platform.vitals.needs["state database"] = lambda: reachable(engine)
    prefetch = platform.settings.worker.prefetch
    duties = [
        ConsumerSpec(
            flow.QUARANTINE_QUEUE,
            (RecordsQuarantined, RecordsLoaded, DiscardRequest),
            Quarantine(engine, platform.clock),
            prefetch,
        ),
        ConsumerSpec(flow.REPLAY_QUEUE, (ExtractSlice,), Replay(platform.plans, engine), prefetch),
        ConsumerSpec(flow.RUN_ENDS_QUEUE, (RunFinished,), RunEnds(engine, platform.clock), prefetch),
    ]

    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await engine.dispose()

    return StageService("quarantine", duties, platform, closing)
