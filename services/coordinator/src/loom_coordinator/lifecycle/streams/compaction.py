"""Removes the rows of the work of windows that closed long ago. What came of a window stays: its run, its calls, its
scores and its lineage."""

from __future__ import annotations

import math
from itertools import takewhile

from sqlalchemy import case, delete, exists, false, func, or_, select, true

from loom_common.async_engine import AsyncConnection
from loom_coordinator.accounting import usage
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.schemas import schema_observations
from loom_coordinator.db.tables.work import batches, partitions, run_totals, slices
from loom_coordinator.db.unit_of_work import UnitOfWork

KEPT_WHOLE = 20
"""The number of windows before the newest one that keep the rows of their batches."""
COMPACTED_TOGETHER = 10
"""The number of windows that are compacted in one go, because five statements for ten of them cost as much as for
one."""
_AT_ONCE = 50
_OF_WORK = (batches, slices, run_totals, schema_observations, partitions)
"""The tables whose rows are removed."""


async def is_compacted(connection: AsyncConnection, run: Run) -> bool:
    """Tell whether the rows of a window's work are removed: then its own row alone tells what came of it."""
    if run.stream is None or run.tally is None or run.replay_of is not None:
        return False
    there = await connection.execute(select(exists().where(partitions.c.run_id == run.run_id)))
    return not there.scalar_one()


async def compact(unit: UnitOfWork, stream: Stream, newest: int) -> None:
    """Add up in the stream what its old windows came to, and remove the rows of their work: of those in a row that can
    neither go on nor be resumed, and whose end was told. Later looks at the stream pass them over."""
    runs = pipeline_runs.c
    told = or_(run_rows.OVER, runs.status == run_rows.CANCELLED) & runs.tell_by.is_(None)
    query = (
        select(
            runs.run_id,
            runs.stream_window,
            case((run_rows.OVER, true()), else_=false()).label("is_over"),
            case((told, true()), else_=false()).label("is_final"),
            runs.records_processed,
            runs.records_validated,
            func.coalesce(runs.cost_total, 0.0).label("cost"),
        )
        .where(runs.stream == stream.stream_id, runs.replay_of.is_(None))
        .where(runs.stream_window > stream.counted, runs.stream_window < newest - KEPT_WHOLE)
        .order_by(runs.stream_window, runs.run_id)
        .limit(_AT_ONCE)
    )
    rows = (await unit.connection.execute(query)).all()
    final = list(takewhile(lambda row: row.is_final, rows))
    if len(final) < len(rows) or len(rows) == _AT_ONCE:  # a window counts with the run beside it, or not yet
        stands = rows[min(len(final), len(rows) - 1)].stream_window
        final = [row for row in final if row.stream_window < stands]
    if not final:
        return
    over = [row.run_id for row in final if row.is_over]  # a cancelled one may be asked to remove what it staged
    for table in _OF_WORK:
        await unit.connection.execute(delete(table).where(unit.among(table.c.run_id, over)))
    await usage.settle(unit, stream.pipeline_name, over)
    await streams.change(
        unit,
        stream.stream_id,
        counted=final[-1].stream_window,
        counted_records=stream.counted_records + sum(row.records_processed for row in final),
        counted_passed=stream.counted_passed + sum(row.records_validated for row in final),
        counted_cost=stream.counted_cost + math.fsum(float(row.cost) for row in final),
    )
