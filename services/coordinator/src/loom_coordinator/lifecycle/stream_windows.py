"""Closes the window of a stream when its time has come, and opens the next one at the same place.

A window is a run, and the transaction that seals its partition enters the next run. What a slice was answered with
decides alone, so that an answer that comes twice, or late, opens no window twice.

While a version is on trial, a window reads all records but those of its share. Each of its slices that has left some
is read once more by a run beside it, at the same cursor and with the same limits, from what was kept of the source. So
each record is in one of the two, whoever of them is killed, and nobody else reads the source."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loom_common.contracts.v1 import SliceExtracted
from loom_common.domain.run.piece import Piece, Share
from loom_common.domain.values.durations import seconds
from loom_common.domain.values.ids import canary_run_id, window_beside, window_run_id
from loom_coordinator.accounting import schemas, tallies
from loom_coordinator.db import run_rows, run_totals, slice_rows, streams
from loom_coordinator.db.run import Run
from loom_coordinator.db.slice_rows import SliceRow
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import partitions, preflight, slices, stalls
from loom_coordinator.lifecycle.run_progress import paused
from loom_coordinator.lifecycle.slices import Extraction
from loom_coordinator.lifecycle.streams import canaries, decisions, moves, old_scores, window_runs
from loom_coordinator.lifecycle.streams.compaction import COMPACTED_TOGETHER, KEPT_WHOLE, compact

MOST_OPEN = 3
"""The most windows of a stream that have not ended. While there are so many, its source is not read. Where records of
one key stay in sequence, a window begins when the one before it has ended."""
START: dict[str, Any] = {"page": 0, "record": 0, "state": None}
"""The cursor of the first window."""


async def answered(unit: UnitOfWork, run: Run, fact: SliceExtracted) -> Run | None:
    """Take note that a slice of a window was read. An answer that leaves the cursor where it was says that the source
    had nothing yet: the same slice is asked for again, so that whoever reads at this cursor makes the same batches of
    what is there. Return the run beside the window that has the records of a version on trial, if there is one."""
    asked = await slices.issued_at(unit, fact)
    if asked is None:
        return None
    if run.canary_of is not None:
        await slices.answered(unit, fact)
        await slices.seal(unit, run.run_id)  # what it reads, its window hands over
        return None
    share = None if asked.piece is None else Piece.model_validate(asked.piece).share
    beside = None if share is None else await _beside(unit, run)
    stream = await streams.lock(unit, str(run.stream))
    assert stream is not None, "a window has a stream"
    records = sum(batch.tally.extracted for batch in fact.batches)
    begun = run.totals.tally.extracted > records or beside is not None
    if not records and not fact.others and fact.cursor == asked.cursor:
        if fact.epoch == run.epoch and run.status == run_rows.RUNNING:
            due = _is_due(stream, run, unit.now, share=share, begun=begun, quiet=True)
            await slices.ask_once_more(unit, run, asked, closing=due)
        return beside
    full = await _noted(unit, run, fact)
    if stream.number != run.stream_window or stream.closed:
        return beside  # it was cancelled while it was read, and the next window begins where it ended
    if fact.others:
        beside = await _hand_over(unit, stream, run, asked, beside)
    heard = {"heard_at": unit.now} if records or fact.others else {}
    started = {"started_at": unit.now} if heard and not begun else {}
    began = run if begun else replace(run, started_at=unit.now)
    rest = fact.cursor is not None and fact.cursor["record"] > 0
    if full or _is_due(stream, began, unit.now, share=share, begun=begun or bool(heard), quiet=fact.closed, rest=rest):
        ends = stream.state == streams.DRAINING and stream.moving is None
        drained = fact.closed and ends and run.plan == stream.plan
        closed = {"cursor": fact.cursor, "state": streams.DRAINED if drained else stream.state, **heard}
        await _close(unit, stream, run, closed, started, beside=beside, sealed=full)
        return beside
    if heard:
        await streams.change(unit, stream.stream_id, **heard)
    if started:
        await run_rows.change(unit, run.run_id, **started)
    return beside


async def _noted(unit: UnitOfWork, run: Run, fact: SliceExtracted) -> bool:
    """Take note of what a slice of a window was answered with. Return whether it was the last one."""
    if fact.known:
        await run_rows.count_known(unit, run.run_id, fact.known)
    return await slices.answered(unit, fact)


def _is_due(
    stream: Stream, run: Run, now: dt.datetime, *, share: Share | None, begun: bool, quiet: bool, rest: bool = False
) -> bool:
    """Tell whether a window that reads a `share` closes: by its time once a record has `begun` it, because another
    version of the pipeline waits, because the next one begins elsewhere and no `rest` of a page is left, or because all
    has been read that is wanted. Pure."""
    if stream.moving is not None and not rest:
        return True
    if run.plan != stream.plan or share != canaries.share_of(stream) or (quiet and stream.state == streams.DRAINING):
        return True
    return begun and (now - run.started_at).total_seconds() >= stream.every


async def _close(
    unit: UnitOfWork,
    stream: Stream,
    run: Run,
    closed: Mapping[str, Any],
    started: Mapping[str, Any],
    *,
    beside: Run | None = None,
    sealed: bool = False,
) -> None:
    """Close a window, with what changes by it in the row of its stream, and in its own, besides."""
    if not sealed:
        await slices.seal(unit, run.run_id)
    await run_rows.change(unit, run.run_id, deadline=_deadline(unit, run), **started)
    if beside is not None:
        await run_rows.change(unit, beside.run_id, deadline=_deadline(unit, beside))
    closed = {**closed, **await moves.settled(unit, stream, closed["cursor"])}
    after = replace(stream, closed=True, **closed)
    opened = await _open_next(unit, after, look=False)
    await streams.change(unit, stream.stream_id, **{"closed": True, **closed, **opened})


def _deadline(unit: UnitOfWork, run: Run) -> dt.datetime:
    return unit.now + dt.timedelta(seconds=seconds(stalls.timeouts_of(run).run))


async def go_on(unit: UnitOfWork, stream_id: str, *, look: bool = False, known: Stream | None = None) -> None:
    """Open the next window where the newest one is closed and nothing stands against it. Safe to call at any time.

    On a cluster the services look at source and destination before the first window of each plan reads, and with `look`
    before any. Who has locked the stream says how it is `known`."""
    stream = known or await streams.lock(unit, stream_id)
    if stream is not None and (opened := await _open_next(unit, stream, look=look)):
        await streams.change(unit, stream_id, **opened)


async def _open_next(unit: UnitOfWork, stream: Stream, *, look: bool) -> dict[str, Any]:
    """Open the next window of a stream that is locked, if it may be opened, and return what this changes in the row of
    the stream."""
    if not stream.closed or stream.state == streams.DRAINED or (stream.moving or {}).get("question") is not None:
        return {}
    stream_id = stream.stream_id
    others = await streams.open_windows(unit.connection, stream_id)
    windows = {window_beside(each.run_id) or each.run_id for each in others}
    most = 1 if stream.keeps_order else MOST_OPEN
    if len(windows) >= most or any(each.status != run_rows.RUNNING for each in others):
        return {}
    number = stream.number + 1
    name, begins = window_run_id(stream_id, number), stream.begins
    run = await window_runs.begun(unit, stream, name, stream.plan, stream.template, number, began_at=begins)
    await schemas.begin_as(unit, run.run_id, window_run_id(stream_id, stream.number))
    if number - stream.counted > KEPT_WHOLE + COMPACTED_TOGETHER:
        await compact(unit, stream, number)
        await old_scores.remove(unit, stream, tallies.definition(run))
    cursor = START if stream.cursor is None else stream.cursor
    piece = Piece(start=cursor, whole_keys=True, share=canaries.share_of(stream))
    whole = await partitions.begin(unit, run.run_id, stream.records, piece)
    asks = unit.owner is None and (look or not await window_runs.looked_at(unit, stream_id, stream.plan))
    if asks:
        await preflight.ask(unit, run)
    await slices.release(unit, run, known=None if asks else [whole])
    return {"number": number, "closed": False, **({} if begins is None else {"begins": None})}


async def ended(unit: UnitOfWork, run: Run) -> None:
    """Let a stream go on after the end of one of its windows. A window that was cut short, and can be resumed, stops
    the others; one that was cancelled is followed by the next one."""
    stream_id = str(run.stream)
    stream = await streams.lock(unit, stream_id)
    if stream is None:
        return
    resumable = run.replay_of is None and not run_rows.is_over(run) and run.status != run_rows.CANCELLED
    if stream.number == run.stream_window and not stream.closed and run.canary_of is None:
        if not resumable:
            cursor = await slice_rows.cursor_of(unit, run.run_id)
            stream = await streams.changed(unit, stream, closed=True, cursor=cursor)
        if not (resumable and await slices.asked_for_none(unit, run.run_id)):
            await slices.seal(unit, run.run_id)
    if resumable:
        await stop(unit, stream_id, f"{run.run_id} of the stream has stopped; `loom status {run.run_id}` says why")
    else:
        await decisions.look(unit, stream, run)
        await go_on(unit, stream_id, known=stream if stream.canary is None else None)  # a trial may be decided by now


async def stop(unit: UnitOfWork, stream_id: str, notice: str | None = None) -> None:
    """Pause the windows of a stream that are at work, or would go on by themselves, and say why. Nothing is lost."""
    running = [each.run_id for each in await streams.open_windows(unit.connection, stream_id) if each.is_at_work]
    for run in (await run_rows.lock(unit, running)).values():
        await paused(unit, run, notice)


async def _beside(unit: UnitOfWork, run: Run) -> Run | None:
    """Lock the run beside a window until the unit ends, and return it; None where there is none."""
    run_id = canary_run_id(run.run_id)
    return (await run_rows.lock(unit, [run_id])).get(run_id)


async def _hand_over(unit: UnitOfWork, stream: Stream, window: Run, asked: SliceRow, known: Run | None) -> Run:
    """Have the records of a slice read that a window has left. The first of them open the run beside it, with the
    version on trial; where that was decided on meanwhile, with the one that goes on."""
    run = known or await _open(unit, stream, window, Piece.model_validate(asked.piece))
    await slices.enter_held(unit, run.run_id, asked)
    return run


async def _open(unit: UnitOfWork, stream: Stream, window: Run, piece: Piece) -> Run:
    run_id = canary_run_id(window.run_id)
    canary = canaries.of_stream(stream)
    plan, template = (stream.plan, stream.template) if canary is None else (canary.plan, canary.template)
    is_new = unit.owner is None and not await window_runs.looked_at(unit, stream.stream_id, plan)
    number = window.stream_window or 0
    run = await window_runs.begun(unit, stream, run_id, plan, template, number, canary_of=window.run_id)
    await schemas.begin_as(unit, run_id, window.run_id)
    assert piece.share is not None, "a slice leaves records where they are shared"
    share = piece.share.model_copy(update={"on_trial": True})
    await partitions.begin(unit, run_id, None, piece.model_copy(update={"share": share}))
    await slices.seal(unit, run_id)
    if is_new:
        await preflight.ask(unit, run)
    return run


async def release_beside(unit: UnitOfWork, run: Run) -> Extraction:
    """Ask for what the slices of the window have left to the run beside it. It has an end when the window has one."""
    await slices.ask_held(unit, run)
    extraction = await slices.release(unit, run)
    return Extraction(ended=False) if extraction.ended and not await is_read(unit, run) else extraction


async def is_read(unit: UnitOfWork, run: Run) -> bool:
    """Tell whether a run beside a window has read all that it will ever have."""
    if await slice_rows.holds_any(unit, run.run_id):
        return False
    window = await run_rows.find(unit.connection, str(run.canary_of))
    assert window is not None, "it was opened beside a window"
    return window.status == run_rows.CANCELLED or await slices.exhausted(unit, window.run_id)


async def unread_beside(unit: UnitOfWork, run: Run) -> int:
    """Return how many records a window has left to the run beside it that this one has not read. Those of the window's
    answers are counted where its limit is."""
    window = await run_rows.find(unit.connection, str(run.canary_of))
    if window is None or window.status == run_rows.CANCELLED or not await slice_rows.holds_any(unit, run.run_id):
        return 0
    limits = tallies.definition(window).windows
    left = await slices.remaining_of(unit, window.run_id)
    if limits is None or left is None:
        return 0
    return max(0, limits.records - left - window.totals.tally.extracted - run.totals.tally.extracted)


async def underway_beside(unit: UnitOfWork, window: Run) -> int:
    """Return how many batches are in flight of the run beside a window."""
    run_id = canary_run_id(window.run_id)
    totals = (await run_totals.read(unit, [run_id])).get(run_id)
    return 0 if totals is None else totals.underway
