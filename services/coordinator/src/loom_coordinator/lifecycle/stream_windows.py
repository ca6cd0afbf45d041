"""Closes the window of a stream when its time has come, and opens the next one at the same place.

A window is a run, and the transaction that seals its partition enters the next run. What a slice was answered with
decides alone, so that an answer that comes twice, or late, opens no window twice."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import exists, select

from loom_common.contracts.v1 import SliceExtracted
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.durations import seconds
from loom_common.domain.values.ids import window_run_id
from loom_coordinator.accounting import schemas
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import partitions, preflight, slices, stalls
from loom_coordinator.lifecycle.run_progress import paused
from loom_coordinator.lifecycle.streams.compaction import compact

MOST_OPEN = 3
"""The most windows of a stream that have not ended. While there are so many, its source is not read."""
START: dict[str, Any] = {"page": 0, "record": 0, "state": None}
"""The cursor of the first window."""


async def answered(unit: UnitOfWork, run: Run, fact: SliceExtracted) -> None:
    """Take note that a slice of a window was read. An answer that leaves the cursor where it was says that the source
    had nothing yet: the same slice is asked for again, so that whoever reads at this cursor makes the same batches of
    what is there."""
    asked = await slices.issued_at(unit, fact)
    if asked is None:
        return
    stream = await streams.lock(unit, str(run.stream))
    assert stream is not None, "a window has a stream"
    records = sum(batch.tally.extracted for batch in fact.batches)
    if not records and fact.cursor == asked.cursor:
        if fact.epoch == run.epoch and run.status == run_rows.RUNNING:
            await slices.ask_once_more(unit, run, asked, closing=_is_due(stream, run, unit.now, quiet=True))
        return
    await slices.answered(unit, fact)
    if records:
        await streams.change(unit, stream.stream_id, heard_at=unit.now)
        if run.totals.tally.extracted == records:
            await run_rows.change(unit, run.run_id, started_at=unit.now)
    full = await slices.exhausted(unit, run.run_id)
    if full or _is_due(stream, run, unit.now, quiet=fact.closed):
        drained = fact.closed and stream.state == streams.DRAINING and run.plan == stream.plan
        await _close(unit, stream, run, fact.cursor, drained=drained)


def _is_due(stream: Stream, run: Run, now: dt.datetime, *, quiet: bool) -> bool:
    """Tell whether a window closes: by its time, because another version of the pipeline waits, or because all has
    been read that is wanted. Pure."""
    if run.plan != stream.plan or (quiet and stream.state == streams.DRAINING):
        return True
    return run.totals.tally.extracted > 0 and (now - run.started_at).total_seconds() >= stream.every


async def _close(unit: UnitOfWork, stream: Stream, run: Run, cursor: Any, *, drained: bool) -> None:
    await slices.seal(unit, run.run_id)
    limit = dt.timedelta(seconds=seconds(stalls.timeouts_of(run).run))
    await run_rows.change(unit, run.run_id, deadline=unit.now + limit)
    state = streams.DRAINED if drained else stream.state
    await streams.change(unit, stream.stream_id, closed=True, cursor=cursor, state=state)
    await go_on(unit, stream.stream_id)


async def go_on(unit: UnitOfWork, stream_id: str, *, look: bool = False) -> None:
    """Open the next window where the newest one is closed and nothing stands against it. Safe to call at any time.

    On a cluster the services look at source and destination before the first window of each plan reads, and with `look`
    before any."""
    stream = await streams.lock(unit, stream_id)
    if stream is None or not stream.closed or stream.state == streams.DRAINED:
        return
    others = await streams.open_windows(unit.connection, stream_id)
    if len(others) >= MOST_OPEN or any(each.status != run_rows.RUNNING for each in others):
        return
    number = stream.number + 1
    run_id = window_run_id(stream_id, number)
    await unit.connection.execute(
        pipeline_runs.insert().values(
            **stream.template,
            run_id=run_id,
            plan=stream.plan,
            execution_date=unit.now,
            started_at=unit.now,
            status=run_rows.RUNNING,
            epoch=1,
            owner=unit.owner,
            stream=stream_id,
            stream_window=number,
        )
    )
    await schemas.begin_as(unit, run_id, window_run_id(stream_id, stream.number))
    await streams.change(unit, stream_id, number=number, closed=False)
    await compact(unit, stream, number)
    cursor = START if stream.cursor is None else stream.cursor
    await partitions.begin(unit, run_id, stream.records, Piece(start=cursor, whole_keys=True))
    run = (await run_rows.lock(unit, [run_id]))[run_id]
    if unit.owner is None and (look or not await _looked_at(unit, stream)):
        await preflight.ask(unit, run)
    await slices.release(unit, run)


async def _looked_at(unit: UnitOfWork, stream: Stream) -> bool:
    """Tell whether a window of the stream's plan was looked at before it read."""
    runs = pipeline_runs.c
    there = exists().where(runs.stream == stream.stream_id, runs.plan == stream.plan, runs.preflight.is_not(None))
    return bool((await unit.connection.execute(select(there))).scalar_one())


async def ended(unit: UnitOfWork, run: Run) -> None:
    """Let a stream go on after the end of one of its windows. A window that was cut short, and can be resumed, stops
    the others; one that was cancelled is followed by the next one."""
    stream_id = str(run.stream)
    stream = await streams.lock(unit, stream_id)
    if stream is None:
        return
    resumable = any(each.run_id == run.run_id for each in await streams.open_windows(unit.connection, stream_id))
    if stream.number == run.stream_window and not stream.closed:
        if not resumable:
            await streams.change(unit, stream_id, closed=True, cursor=await slices.cursor_of(unit, run.run_id))
        if not (resumable and await slices.asked_for_none(unit, run.run_id)):
            await slices.seal(unit, run.run_id)
    if resumable:
        await stop(unit, stream_id)
    else:
        await go_on(unit, stream_id)


async def stop(unit: UnitOfWork, stream_id: str) -> None:
    """Pause the windows of a stream that are at work. Nothing is lost."""
    running = [
        each.run_id
        for each in await streams.open_windows(unit.connection, stream_id)
        if each.status == run_rows.RUNNING
    ]
    for run in (await run_rows.lock(unit, running)).values():
        await paused(unit, run)
