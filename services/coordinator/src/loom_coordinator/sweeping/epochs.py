"""Says which epochs are broadcast again, and which a replica is told that has just started. It did not get the first
broadcast, and would pay for calls of a run that has ended, as long as messages of that run wait in a queue."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Integer, bindparam, or_, select

from loom_common.contracts.v1 import RunEpoch
from loom_common.flow import RETRY_DELAYS
from loom_coordinator.db import run_rows
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

LONGEST_WAIT = dt.timedelta(seconds=2 * RETRY_DELAYS[-1])
"""Says how long after its end a run's epoch is still broadcast: a message of it may wait in the retry queue with the
longest delay, and a worker that takes it later must drop it."""
LONGEST_STAND = dt.timedelta(days=7)
"""Says how long after its end a run's epoch is still told to replicas that start: its messages may have waited all
that time, because none ran."""
MOST, MOST_AT_START = 1000, 5000
"""Runs; the latest ones."""
_ENDED_LATELY = pipeline_runs.c.completed_at > bindparam("since", type_=pipeline_runs.c.completed_at.type)
_RAISED = (
    select(pipeline_runs.c.run_id, pipeline_runs.c.epoch, pipeline_runs.c.status)
    .where(
        pipeline_runs.c.epoch > 1,
        or_(pipeline_runs.c.status == run_rows.RUNNING, pipeline_runs.c.status == run_rows.PAUSED, _ENDED_LATELY),
        pipeline_runs.c.owner.is_not_distinct_from(bindparam("owner", type_=pipeline_runs.c.owner.type)),
    )
    .order_by(pipeline_runs.c.started_at.desc())
    .limit(bindparam("most", type_=Integer))
)


async def raised(unit: UnitOfWork) -> list[RunEpoch]:
    """Return the epoch of every run that may have messages of an earlier epoch on the bus while replicas run."""
    return await _since(unit, LONGEST_WAIT, MOST)


async def at_start(unit: UnitOfWork) -> dict[str, int]:
    """Return the epoch of every run that may have messages of an earlier epoch on the bus where no replica ran. Those
    of the latest runs come last, which a replica forgets last."""
    return {each.run_id: each.epoch for each in reversed(await _since(unit, LONGEST_STAND, MOST_AT_START))}


async def _since(unit: UnitOfWork, age: dt.timedelta, most: int) -> list[RunEpoch]:
    given = {"since": unit.now - age, "owner": unit.owner, "most": most}
    rows = await unit.connection.execute(_RAISED, given)
    return [
        RunEpoch(run_id=run_id, epoch=epoch, cancelled=status == run_rows.CANCELLED) for run_id, epoch, status in rows
    ]
