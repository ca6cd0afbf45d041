"""Removes what ended runs leave behind, and nobody needs any more."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import select

from loom_common.errors import DependencyUnavailable
from loom_common.ports.payloads import PayloadStore
from loom_common.service.periodic import every
from loom_coordinator.db import run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.runs import pipeline_runs

log = structlog.get_logger()

_EVERY_SECONDS = 60.0


class PayloadCleanup:
    """Drops the large message bodies of runs that have ended. Doing it twice, or in two coordinators, is doing it once;
    a run that is resumed extracts again what it needs."""

    def __init__(self, outbox: OutboxRelay, payloads: PayloadStore) -> None:
        self._outbox = outbox
        self._payloads = payloads

    async def run(self, stop: asyncio.Event) -> None:
        """Run once a minute, until `stop`."""
        async for _ in every(_EVERY_SECONDS, stop):
            try:
                await self.tidy()
            except DependencyUnavailable as error:
                log.warning("housekeeping waits", error=str(error))

    async def tidy(self) -> None:
        """Look once. Raises `DependencyUnavailable`."""
        held = await self._payloads.runs()
        if not held:
            return
        async with self._outbox.unit() as unit:
            ended = await unit.connection.execute(
                select(pipeline_runs.c.run_id).where(
                    pipeline_runs.c.run_id.in_(held), pipeline_runs.c.status.in_(run_rows.TERMINAL)
                )
            )
            names = list(ended.scalars())
        for run_id in names:
            await self._payloads.forget(run_id)
