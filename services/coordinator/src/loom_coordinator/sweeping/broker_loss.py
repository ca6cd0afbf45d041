"""Work that the broker lost: a run waits for facts, and nothing is on the bus that could bring one.

A stage's timeout (`stalls.py`) must be longer than its slowest batch. That the broker was wiped shows much sooner: no
queue holds a message, no replica has one in flight, and no fact of the run arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from loom_common.errors import DependencyUnavailable, TopologyMissing
from loom_common.flow import DEAD_QUEUE, RUN_ENDS_QUEUE, TOPOLOGY
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_common.ports.clock import Clock
from loom_common.service.periodic import every
from loom_coordinator.db import run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.work import outbox
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import fleet_load, own_queues
from loom_coordinator.flow_control.fleet_load import FleetLoad
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle import completion
from loom_coordinator.lifecycle import slices as lifecycle_slices

LOOK_SECONDS = 3.0
QUEUES = tuple(
    queue.name
    for queue in TOPOLOGY.queues
    if queue.name not in (DEAD_QUEUE, RUN_ENDS_QUEUE) and queue.returns_to != RUN_ENDS_QUEUE
)
"""All that may hold a message that a running run waits for."""


class Quiet:
    """Remembers since when each run has been silent, and the bus empty. Times are monotonic seconds."""

    def __init__(self, patience: float) -> None:
        """Take `patience`, which says how long a run must be silent, and half as long the bus empty, for its work to
        count as lost."""
        self._patience = patience
        self._empty_since: float | None = None
        self._last: dict[str, tuple[object, float]] = {}

    def silent(self, news: Mapping[str, object], now: float) -> list[str]:
        """Return the runs of which nothing new was heard for longer than the patience. `news`: what was heard last of
        every running run, whatever it looks like. A run that is not named any more is forgotten."""
        known = {run_id: self._last.get(run_id, (None, now)) for run_id in news}
        self._last = {
            run_id: (told, since) if told == news[run_id] else (news[run_id], now)
            for run_id, (told, since) in known.items()
        }
        return [run_id for run_id, (_, since) in self._last.items() if now - since > self._patience]

    def long_empty(self, *, empty: bool, now: float) -> bool:
        """Tell whether the bus, which is `empty` or not just now, was so at every look for longer than half the
        patience."""
        if not empty or self._empty_since is None:
            self._empty_since = now if empty else None
            return False
        return now - self._empty_since > self._patience / 2

    def asked_again(self, run_id: str) -> None:
        """The run has its time again."""
        self._last.pop(run_id, None)


class BrokerLoss:
    """Looks every few seconds, and asks again for what was lost. Any number may do so: asking twice is asking once."""

    def __init__(self, bus: Bus, units: OutboxRelay, clock: Clock, patience: float) -> None:
        self._bus = bus
        self._units = units
        self._clock = clock
        self._quiet = Quiet(patience)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`."""
        async for _ in every(LOOK_SECONDS, stop):
            try:
                await self.look()
            except DependencyUnavailable as error:
                log.debug("cannot look for lost work", error=str(error))

    async def look(self) -> None:
        """Look once. The bus is looked at only where a run is silent. Raises `DependencyUnavailable`."""
        async with self._units.unit() as unit:
            silent = self._quiet.silent(await _news(unit), self._clock.monotonic())
            loads = fleet_load.loads(await fleet_load.read(unit.connection, unit.now)) if silent else {}
            empty = bool(silent) and await _nothing_in_flight(unit, loads)
            of_steps = await own_queues.queues_in_use(unit.connection, loads) if empty else ()
        empty = empty and await _queues_are_empty(self._bus, of_steps)
        if self._quiet.long_empty(empty=empty, now=self._clock.monotonic()):
            for run_id in silent:
                await self._ask_again(run_id)

    async def _ask_again(self, run_id: str) -> None:
        self._quiet.asked_again(run_id)
        async with self._units.unit() as unit:
            run = (await run_rows.lock(unit, [run_id]))[run_id]
            if run.status != run_rows.RUNNING:
                return
            if run.finalizing:
                await completion.put_in_place(unit, run)
                asked = 0
            else:
                asked = await lifecycle_slices.reissue(unit, run)
                await apply_facts.advance(unit, run)
        log.warning("lost: asked for again", run_id=run_id, slices=asked, finalizing=run.finalizing)


async def _news(unit: UnitOfWork) -> dict[str, object]:
    """Return of every running run something that changes with every fact that changes the run."""
    found = await run_rows.running(unit)
    asked = await lifecycle_slices.last_asked(unit, [run.run_id for run in found])
    return {
        run.run_id: (run.epoch, run.finalizing, run.notice, run.totals.heard_at, asked.get(run.run_id)) for run in found
    }


async def _nothing_in_flight(unit: UnitOfWork, fleet: Mapping[str, FleetLoad]) -> bool:
    """Return whether no replica has a message in flight, and the outbox holds none."""
    waiting = (await unit.connection.execute(select(func.count()).select_from(outbox))).scalar_one()
    return not waiting and not any(each.in_flight for each in fleet.values())


async def _queues_are_empty(bus: Bus, of_steps: Sequence[str]) -> bool:
    """Tell whether the queues are empty; False where the bus lacks one: what was asked for again would be lost again.
    Those of steps are declared before their first batch. Raises `DependencyUnavailable`."""
    try:
        for queue in QUEUES:
            if await bus.depth(queue):
                return False
        for queue in own_queues.with_retries(of_steps):
            if await own_queues.ready_in(bus, queue):
                return False
    except TopologyMissing:
        return False
    return True
