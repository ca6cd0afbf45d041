"""Finds the steps that have queues of their own: those of runs that go on, and those whose queues are consumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from loom_common import flow
from loom_common.async_engine import AsyncConnection
from loom_common.domain.steps.queued.chains import own_queues_in
from loom_common.errors import TopologyMissing
from loom_common.ports.bus import Bus
from loom_coordinator.db import run_rows
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.flow_control.fleet_load import FleetLoad


async def queues_in_use(connection: AsyncConnection, loads: Mapping[str, FleetLoad]) -> tuple[str, ...]:
    """Return the queues of steps of all runs that go on, and those which a replica consumes, in the order of their
    names."""
    running = select(pipeline_runs.c.definition).where(pipeline_runs.c.status == run_rows.RUNNING)
    definitions = (await connection.execute(running)).scalars().all()
    consumed = {queue for queue in loads if flow.is_of_a_step(queue)}
    return tuple(sorted({*queues_of(definitions), *consumed}))


def queues_of(definitions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the queues of the steps of definitions, each once."""
    return list(dict.fromkeys(flow.step_queue(step) for each in definitions for step in own_queues_in(each)))


def with_retries(queues: Iterable[str]) -> list[str]:
    """Return queues of steps with the queues in which their messages wait to be tried again."""
    steps = [queue.removeprefix(flow.step_queue("")) for queue in queues]
    return [queue.name for queue in flow.step_topology(*steps).queues]


async def ready_in(bus: Bus, queue: str) -> int:
    """Return how many messages are ready in a queue; none in one that nobody has declared yet. Raises
    `DependencyUnavailable`."""
    try:
        return await bus.depth(queue)
    except TopologyMissing:
        return 0
