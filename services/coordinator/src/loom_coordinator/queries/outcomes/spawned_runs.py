"""Queries which runs a run has spawned and what became of them, and which run has spawned it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values.ids import run_id_for, spawn_key, spawner_of
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs

NOT_STARTED = "not started"


@dataclass(frozen=True, slots=True)
class Spawned(Shown):
    """Describes a run that another one has spawned."""

    run_id: str
    pipeline: str
    status: str
    """`not started` as long as nobody has started it."""


def spawner(run: Run) -> str | None:
    """Return the run that has spawned this one; None where none has."""
    found = spawner_of(run.idempotency_key)
    return None if found is None else found[1]


async def spawned_by(connection: AsyncConnection, run: Run, status_of: Callable[[Run], str]) -> list[Spawned]:
    """Return the runs that a run which has succeeded spawns, in the order of its pipeline, be they started or not;
    none of a run that has not. `status_of` gives the status that people are shown of a run."""
    if run.status != run_rows.SUCCEEDED or not run.spawns:
        return []
    children = {run_id_for(spawn_key(run.pipeline_name, run.run_id, each)): each for each in run.spawns}
    query = run_rows.RUNS.where(pipeline_runs.c.run_id.in_(list(children)))
    there = [Run.of(row) for row in (await connection.execute(query)).mappings()]
    statuses = {each.run_id: status_of(each) for each in there}
    return [Spawned(run_id, child, statuses.get(run_id, NOT_STARTED)) for run_id, child in children.items()]
