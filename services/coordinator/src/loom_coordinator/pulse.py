"""The coordinator's own initiative: progress for those who watch, and a second look at every running run.

Facts drive a run; the sweep only catches what facts cannot: a fact lost with the broker, a batch that no stage
speaks of any more, a command left in the database by another process."""

from __future__ import annotations

import asyncio
import datetime as dt

import structlog
from sqlalchemy import RowMapping, exists, select

from loom_common import flow
from loom_common.contracts.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.errors import DependencyUnavailable
from loom_common.ports.bus import Bus
from loom_common.ports.clock import Clock
from loom_coordinator import commands, facts, runs, slicing
from loom_coordinator.batches import UNDERWAY
from loom_coordinator.outbox import Outbox
from loom_coordinator.progress import progress
from loom_coordinator.tables import batches, pipeline_runs, slices
from loom_coordinator.unit import NAME, Unit

log = structlog.get_logger()

PULSE_SECONDS = 0.5
SWEEP_SECONDS = 3.0
STUCK_SECONDS = 45 * 60.0
"""A batch of which nothing was heard for so long is asked for again. Journal and ledger make that free."""


class Pulse:
    """Beats while the service runs."""

    def __init__(self, bus: Bus, outbox: Outbox, clock: Clock, owner: str | None) -> None:
        self._bus = bus
        self._outbox = outbox
        self._clock = clock
        self._owner = owner

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        swept = self._clock.monotonic()
        while not stop.is_set():
            try:
                await self._beat()
                if self._clock.monotonic() - swept >= SWEEP_SECONDS:
                    await self._sweep()
                    swept = self._clock.monotonic()
            except DependencyUnavailable as error:
                log.warning("pulse waits", error=str(error))
            await _wait(stop, PULSE_SECONDS)

    async def _beat(self) -> None:
        async with self._outbox.unit() as unit:
            active = await self._active(unit)
            told = [await progress(unit, run) for run in active if not run["wanted"]]
            for run in active:
                if run["wanted"]:
                    await self._heed(unit, run)
        wires = [
            encode(Outgoing(flow.fact("run", "progress", fact.pipeline), fact, mandatory=False), NAME) for fact in told
        ]
        if wires:
            await self._bus.publish(wires)

    async def _active(self, unit: Unit) -> list[RowMapping]:
        rows = await unit.connection.execute(
            select(pipeline_runs).where(
                pipeline_runs.c.status == runs.RUNNING, pipeline_runs.c.owner.is_not_distinct_from(self._owner)
            )
        )
        return list(rows.mappings())

    async def _heed(self, unit: Unit, run: RowMapping) -> None:
        """Carry out a command that another process left with the run."""
        locked = (await runs.lock(unit, [run["run_id"]]))[run["run_id"]]
        await runs.change(unit, run["run_id"], wanted=None)
        if locked["wanted"] == "cancel":
            await commands.cancel(unit, locked)
        elif locked["wanted"] == "pause":
            await commands.pause(unit, locked)

    async def _sweep(self) -> None:
        async with self._outbox.unit() as unit:
            active = await self._active(unit)
        for run in active:
            async with self._outbox.unit() as unit:
                locked = (await runs.lock(unit, [run["run_id"]]))[run["run_id"]]
                if locked["status"] != runs.RUNNING:
                    continue
                await facts.advance(unit, locked)
                if await self._stuck(unit, locked):
                    asked = await slicing.reissue(unit, locked)
                    log.warning("stuck batches asked for again", run_id=run["run_id"], slices=asked)

    async def _stuck(self, unit: Unit, run: RowMapping) -> bool:
        since = unit.now - dt.timedelta(seconds=STUCK_SECONDS)
        silent = exists().where(
            batches.c.run_id == run["run_id"], batches.c.state == UNDERWAY, batches.c.updated_at < since
        )
        unanswered = exists().where(
            slices.c.run_id == run["run_id"], slices.c.state == slicing.ISSUED, slices.c.issued_at < since
        )
        return bool((await unit.connection.execute(select(silent | unanswered))).scalar_one())


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping}, timeout=seconds)
    stopping.cancel()
