"""Says of a run that batches wait in the queue of a step which no transformer serves: without this it would stand still
without a word."""

from __future__ import annotations

import asyncio

from loom_common import flow
from loom_common.domain.steps.queued.chains import own_queues_in
from loom_common.domain.values.plural import counted
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_common.service.periodic import every
from loom_coordinator.db import run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.run import Run
from loom_coordinator.flow_control import fleet_load, own_queues

LOOK_SECONDS = 3.0
_BEGINS = "transform waits: nothing serves "


def told_of(step: str, ready: int) -> str:
    """Return what is said of a run whose batches wait for a step. Pure."""
    waiting = f"{counted(ready, 'batch', 'batches')} {'waits' if ready == 1 else 'wait'}"
    return f"{_BEGINS}{flow.step_queue(step)}, where {waiting}. Start a transformer with LOOM_TRANSFORM_STEPS={step}."


class Unserved:
    """Looks every few seconds at the runs that have steps with queues of their own."""

    def __init__(self, bus: Bus, outbox: OutboxRelay) -> None:
        self._bus = bus
        self._outbox = outbox

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`."""
        async for _ in every(LOOK_SECONDS, stop):
            try:
                await self.look()
            except DependencyUnavailable as error:
                log.debug("cannot look for steps that nothing serves", error=str(error))

    async def look(self) -> None:
        """Look once. The broker is asked only about queues that nobody consumes. Raises `DependencyUnavailable`."""
        async with self._outbox.unit() as unit:
            runs = await run_rows.running(unit)
            served = fleet_load.loads(await fleet_load.read(unit.connection, unit.now))
        absent = {
            step: await own_queues.ready_in(self._bus, flow.step_queue(step))
            for step in dict.fromkeys(step for run in runs for step in own_queues_in(run.definition))
            if flow.step_queue(step) not in served
        }
        for run in runs:
            waiting = ((step, absent.get(step)) for step in own_queues_in(run.definition))
            notice = next((told_of(step, ready) for step, ready in waiting if ready), None)
            if notice != run.notice and (notice is not None or (run.notice or "").startswith(_BEGINS)):
                await self._tell(run, notice)

    async def _tell(self, run: Run, notice: str | None) -> None:
        async with self._outbox.unit() as unit:
            locked = (await run_rows.lock(unit, [run.run_id]))[run.run_id]
            if locked.status == run_rows.RUNNING and locked.notice == run.notice:
                await run_rows.change(unit, run.run_id, notice=notice)
        if notice is not None and run.notice is None:
            log.warning("nothing serves the queue of a step", run_id=run.run_id, notice=notice)
