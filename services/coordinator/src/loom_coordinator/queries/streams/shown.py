"""Tells how far a stream has come, and how its newest windows ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.lifecycle.stream_windows import MOST_OPEN
from loom_coordinator.queries.run_filter import INTERRUPTED
from loom_coordinator.queries.runs import Alive, RunSummary, always_alive, summary_of
from loom_coordinator.queries.streams import versions
from loom_coordinator.queries.streams.versions import ShownCanary, ShownDecision


@dataclass(frozen=True, slots=True)
class ShownStream(Shown):
    """Shows how far a stream has come, with its newest windows."""

    stream_id: str
    pipeline: str
    source: str
    """The source, without credentials."""
    status: str
    """`running`, `draining`, `drained`, `paused`, `failed`, or `interrupted` where its process is gone."""
    opened_at: dt.datetime
    heard_at: dt.datetime | None
    """Says when the last record came."""
    windows: int
    """The number of windows that were opened."""
    records: int
    """The number of records that were extracted in them."""
    passed: int
    """The number of those that passed their gate."""
    cost: float
    """Holds what all windows of the stream have cost, in USD."""
    resumes_at: dt.datetime | None
    """Says when it goes on by itself; None where it does not wait for the next day."""
    newest: Sequence[RunSummary]
    """The newest windows, the newest first."""
    canary: ShownCanary | None
    """The version on trial and how it does; None where none is on trial."""
    begins_at: str | None
    """Says where its next window begins, if somebody has named that; None where the open one ends."""
    decided: ShownDecision | None
    """Holds what its rule decided on the last version on trial; None where somebody has, or another one is on trial."""


async def shown(
    connection: AsyncConnection, stream_id: str, newest: int, alive: Alive = always_alive
) -> ShownStream | None:
    """Return all that `loom status` shows of a stream; None where there is none. What it takes grows with neither the
    number of windows nor that of records: those that are counted are not looked at."""
    stream = await streams.find(connection, stream_id)
    if stream is None:
        return None
    runs = pipeline_runs.c
    windows = (runs.stream == stream_id, runs.replay_of.is_(None))
    sums = select(
        func.coalesce(func.sum(runs.records_processed), 0),
        func.coalesce(func.sum(runs.records_validated), 0),
        func.coalesce(func.sum(runs.cost_total), 0.0),
    )
    ended = (*windows, runs.stream_window > stream.counted, runs.completed_at.is_not(None))
    records, passed, cost = (await connection.execute(sums.where(*ended))).one()
    rows = await connection.execute(run_rows.RUNS.where(*windows).order_by(runs.stream_window.desc()).limit(newest))
    found = [Run.of(row) for row in rows.mappings()]
    last = [summary_of(each, alive) for each in found]
    waits = [each.resumes_at for each in found if each.resumes_at and (each.owner is None or alive(each.owner))]
    going = [each for each in last if each.completed_at is None]
    return ShownStream(
        stream_id=stream_id,
        pipeline=stream.pipeline_name,
        source=stream.source,
        status=_status(stream.state, [each.status for each in last]),
        opened_at=stream.opened_at,
        heard_at=stream.heard_at,
        windows=stream.number,
        records=stream.counted_records + int(records) + sum(each.records_processed for each in going),
        passed=stream.counted_passed + int(passed) + sum(each.records_validated for each in going),
        cost=stream.counted_cost + float(cost) + sum(each.cost_total or 0.0 for each in going),
        resumes_at=max(waits, default=None),
        newest=last,
        canary=await versions.compared(connection, stream),
        begins_at=_begins_at(stream),
        decided=versions.decision(stream),
    )


def _begins_at(stream: Stream) -> str | None:
    """Return the place where the next window of a stream begins that somebody has named. Pure."""
    said = stream.moving or stream.begins
    return None if said is None else str(said["place"])


def _status(state: str, windows: Sequence[str]) -> str:
    """Return the status of a stream by those of its newest windows. Pure."""
    for stopped in (run_rows.FAILED, run_rows.PAUSED, INTERRUPTED):
        if stopped in windows[: 2 * MOST_OPEN]:
            return stopped
    return state
