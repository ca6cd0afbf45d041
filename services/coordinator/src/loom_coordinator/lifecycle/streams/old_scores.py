"""Removes what was said of single records in windows that ended long ago, where the pipeline says for how long it is
kept. What it came to for each window stays: its means, pass rates, calls and books."""

from __future__ import annotations

import datetime as dt
from itertools import takewhile

from sqlalchemy import delete, func, select

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.streams.settings import score_seconds_of
from loom_coordinator.db import streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.outcomes import record_answers, record_evaluations
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

_AT_ONCE = 50
_OF_RECORDS = (record_evaluations, record_answers)
"""The tables whose rows are removed."""


async def remove(unit: UnitOfWork, stream: Stream, pipeline: Pipeline) -> None:
    """Remove the scores of windows that ended longer ago than the pipeline keeps them, and can neither go on nor be
    resumed. Later looks pass these windows over."""
    limits = pipeline.windows
    kept = None if limits is None else score_seconds_of(limits)
    if kept is None:
        return
    runs = pipeline_runs.c
    ended = func.coalesce(runs.completed_at, runs.started_at).label("ended")
    query = (
        select(runs.run_id, runs.stream_window, ended)
        .where(runs.stream == stream.stream_id, runs.replay_of.is_(None))
        .where(runs.stream_window > stream.scores_removed, runs.stream_window <= stream.counted)
        .order_by(runs.stream_window, runs.run_id)
        .limit(_AT_ONCE)
    )
    rows = (await unit.connection.execute(query)).all()
    before = unit.now - dt.timedelta(seconds=kept)
    old = list(takewhile(lambda row: row.ended < before, rows))
    if len(old) < len(rows) or len(rows) == _AT_ONCE:  # a window goes with the run beside it, or not yet
        stands = rows[min(len(old), len(rows) - 1)].stream_window
        old = [row for row in old if row.stream_window < stands]
    if not old:
        return
    for table in _OF_RECORDS:
        await unit.connection.execute(delete(table).where(unit.among(table.c.run_id, [row.run_id for row in old])))
    await streams.change(unit, stream.stream_id, scores_removed=old[-1].stream_window)
