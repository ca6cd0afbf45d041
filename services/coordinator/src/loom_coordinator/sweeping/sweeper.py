"""Does what the coordinator does unasked: it publishes progress for those who watch, and looks again at every running
run.

Facts drive a run; the sweep only catches what facts cannot: a fact lost with the broker, a batch that no stage
speaks of any more, a command left in the database by another process, an epoch that a new replica never heard of."""

from __future__ import annotations

import asyncio

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunProgress
from loom_common.errors import DependencyUnavailable
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_common.ports.clock import Clock
from loom_common.service.periodic import wait_for_stop
from loom_coordinator.alerts import check
from loom_coordinator.db import run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.run import Run
from loom_coordinator.db.unit_of_work import NAME, UnitOfWork
from loom_coordinator.flow_control.batch_progress import UnderWay
from loom_coordinator.intake import apply_facts, run_commands, stream_commands
from loom_coordinator.lifecycle import completion, run_ends, slices, stalls
from loom_coordinator.lifecycle.run_progress import progress
from loom_coordinator.lifecycle.streams import moves
from loom_coordinator.sweeping import epochs

LOOP_SECONDS = 0.5
"""The least pause between two passes over the active runs."""
SWEEP_SECONDS = 3.0
REST = 9
"""The pause after a pass, in multiples of its duration: a pass adds up all batches of its runs, which may be
many."""


class Sweeper:
    """Publishes the progress of runs, and sweeps for runs that stand still, while the service runs."""

    def __init__(self, bus: Bus, outbox: OutboxRelay, clock: Clock, owner: str | None, under_way: UnderWay) -> None:
        self._under_way = under_way
        self._bus = bus
        self._outbox = outbox
        self._clock = clock
        self._owner = owner
        self._watched: dict[str, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`."""
        swept = self._clock.monotonic()
        await wait_for_stop(stop, LOOP_SECONDS)  # a run that begins at once does not wait for this
        while not stop.is_set():
            began = self._clock.monotonic()
            try:
                await self._look()
                if self._clock.monotonic() - swept >= SWEEP_SECONDS:
                    await self._sweep()
                    swept = self._clock.monotonic()
            except DependencyUnavailable as error:
                log.warning("sweep waits", error=str(error))
            await wait_for_stop(stop, pause_after(self._clock.monotonic() - began))

    async def _look(self) -> None:
        async with self._outbox.unit() as unit:
            active = await run_rows.active(unit)
            told = [await self._progress(unit, run) for run in active if not run.wanted]
            for run in active:
                if run.wanted:
                    await self._heed(unit, run)
        wires = [
            encode(Outgoing(flow.fact("run", "progress", fact.pipeline), fact, mandatory=False), NAME) for fact in told
        ]
        if wires:
            await self._bus.publish(wires)

    async def _progress(self, unit: UnitOfWork, run: Run) -> RunProgress:
        return await progress(unit, run, self._under_way.of(run.run_id, run.epoch))

    async def _heed(self, unit: UnitOfWork, run: Run) -> None:
        """Carry out a command that another process left with the run."""
        locked = (await run_rows.lock(unit, [run.run_id]))[run.run_id]
        await run_rows.change(unit, run.run_id, wanted=None)
        if locked.wanted == "cancel":
            await run_commands.cancel(unit, locked)
        elif locked.wanted == "pause":
            await run_commands.pause(unit, locked)
        elif locked.wanted == "drain" and locked.stream is not None:
            await stream_commands.drain(unit, locked.stream)

    async def _sweep(self) -> None:
        async with self._outbox.unit() as unit:
            active = await run_rows.active(unit)
            raised = await epochs.raised(unit)
            untold = await run_ends.overdue(unit)
            if self._owner is None:
                await moves.ask_overdue(unit)
        if raised:
            said = [Outgoing(flow.control("all"), epoch, mandatory=False) for epoch in raised]
            await self._bus.publish([encode(each, NAME) for each in said])
        for run_id in untold:
            async with self._outbox.unit() as unit:
                await run_rows.lock(unit, [run_id])
                await run_ends.tell_where_complete(unit, run_id)
        for run in active:
            async with self._outbox.unit() as unit:
                locked = (await run_rows.lock(unit, [run.run_id]))[run.run_id]
                if locked.resumes_at is not None and locked.resumes_at <= unit.now:
                    await stream_commands.resume_by_itself(unit, locked)
                    continue
                if locked.status != run_rows.RUNNING:
                    continue
                if await completion.late(unit, locked):
                    continue
                await apply_facts.advance(unit, locked)
                await self._watch(unit, locked)
                if (stage := await stalls.look(unit, locked)) is not None:
                    asked = await slices.reissue(unit, locked)
                    log.warning("stalled: batches asked for again", run_id=run.run_id, stage=stage, slices=asked)

    async def _watch(self, unit: UnitOfWork, run: Run) -> None:
        """Watch the figures of runs, as often as looking at them costs a twentieth of the time at most."""
        now = self._clock.monotonic()
        if now < self._watched.get(run.run_id, 0.0):
            return
        await check.look(unit, run)
        took = self._clock.monotonic() - now
        self._watched = {run_id: due for run_id, due in self._watched.items() if due > now}
        self._watched[run.run_id] = now + max(SWEEP_SECONDS, 20 * took)


def pause_after(spent: float) -> float:
    """Return the seconds to the next pass, so that passes never take more than a tenth of the time."""
    return max(LOOP_SECONDS, REST * spent)
