"""Removes the rows of the work of windows that closed long ago. What came of a window stays: its run, its calls, its
scores and its lineage."""

from __future__ import annotations

from sqlalchemy import delete, exists, select

from loom_common.async_engine import AsyncConnection
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.schemas import schema_observations
from loom_coordinator.db.tables.work import batches, partitions, run_totals, slices
from loom_coordinator.db.unit_of_work import UnitOfWork

KEPT_WHOLE = 20
"""The number of windows before the newest one that keep the rows of their batches."""
_AT_ONCE = 50
_OF_WORK = (batches, slices, run_totals, schema_observations, partitions)
"""The tables whose rows are removed. That of partitions is the last: what has a row there is not compacted yet."""


async def is_compacted(connection: AsyncConnection, run: Run) -> bool:
    """Tell whether the rows of a window's work are removed: then its own row alone tells what came of it."""
    if run.stream is None or run.tally is None or run.replay_of is not None:
        return False
    there = await connection.execute(select(exists().where(partitions.c.run_id == run.run_id)))
    return not there.scalar_one()


async def compact(unit: UnitOfWork, stream_id: str, newest: int) -> None:
    """Remove the rows of windows that can neither go on nor be resumed, and whose end was told."""
    runs = pipeline_runs.c
    whole = exists().where(partitions.c.run_id == runs.run_id)
    query = (
        select(runs.run_id)
        .where(runs.stream == stream_id, runs.stream_window < newest - KEPT_WHOLE)
        .where(run_rows.OVER, runs.tell_by.is_(None), runs.replay_of.is_(None), whole)
        .order_by(runs.stream_window.desc())
        .limit(_AT_ONCE)
    )
    for run_id in (await unit.connection.execute(query)).scalars().all():
        for table in _OF_WORK:
            await unit.connection.execute(delete(table).where(table.c.run_id == run_id))
