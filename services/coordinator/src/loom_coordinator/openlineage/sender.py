"""Tells a lineage collector, or a file, about runs. A run never waits for it, and never fails of it: what cannot be
told is tried again, then given up."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

from sqlalchemy import select

from loom_common.config.settings import OpenLineageSettings
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.service.periodic import every
from loom_coordinator.db import run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.runs import pipelines
from loom_coordinator.lifecycle import run_report
from loom_coordinator.openlineage import due
from loom_coordinator.openlineage.due import Due
from loom_coordinator.openlineage.run_event import ENDS, START, event_of
from loom_coordinator.openlineage.transport import SEND_SECONDS, Transport

LOOK_SECONDS = 1.0
_LAST_ROUNDS = 3


class LineageSender:
    """Any number may run side by side: an event is taken for as long as telling it may last."""

    def __init__(
        self, outbox: OutboxRelay, transport: Transport, settings: OpenLineageSettings, project: Path, clock: Clock
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._settings = settings
        self._project = project
        self._begun = clock.now()

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until `stop`, and then what is left: an embedded run ends with its process."""
        async for _ in every(LOOK_SECONDS, stop):
            await self._look(last=False)
        for _ in range(_LAST_ROUNDS):
            if not await self._look(last=True):
                break

    async def _look(self, *, last: bool) -> bool:
        """Tell what is due. Return whether there was something, and all of it was taken."""
        try:
            async with self._outbox.unit() as unit:
                taken = await due.take(unit, self._begun, dt.timedelta(seconds=2 * SEND_SECONDS), last=last)
            told = await asyncio.gather(*(self._tell(each) for each in taken))
        except DependencyUnavailable as error:
            log.warning("lineage waits", error=str(error))
            return False
        return bool(told) and all(told)

    async def _tell(self, event: Due) -> bool:
        try:
            trouble = await self._transport.send(await self._event(event))
        except DependencyUnavailable:
            raise
        except Exception as error:  # whatever a definition may hold, the run goes on
            trouble = f"the event cannot be made ({type(error).__name__})"
            log.exception("lineage event cannot be made", run_id=event.run_id)
        if trouble is not None:
            log.warning("lineage event not taken", run_id=event.run_id, event_type=event.event, error=trouble)
        async with self._outbox.unit() as unit:
            await due.told(unit, event, trouble)
        return trouble is None

    async def _event(self, event: Due) -> dict[str, Any]:
        async with self._outbox.unit() as unit:
            run = await run_rows.find(unit.connection, event.run_id)
            assert run is not None
            report = await run_report.of(unit.connection, event.run_id) if event.event in ENDS.values() else None
            based = select(pipelines.c.base).where(pipelines.c.name == run.pipeline_name)
            base = (await unit.connection.execute(based)).scalar_one_or_none() or ""
            now = unit.now
        at = run.started_at if event.event == START else run.completed_at if report is not None else now
        return event_of(
            event.event,
            run,
            report,
            at=at or now,
            namespace=self._settings.namespace,
            project=self._project / base,
        )
