"""Ends a run: decides when the end has come and with which status, and writes it. `run_ends` tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import bindparam, func, select

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import BatchFact, LoadFinalized, StageFailed
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_common.ports.tracing import RunEnd, tracer
from loom_coordinator.accounting import incremental, quality, schemas, tallies, usage
from loom_coordinator.alerts import check
from loom_coordinator.db import run_rows
from loom_coordinator.db.pipeline_metrics import DURATION, RUNS
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.work import batches
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import (
    final_status,
    finalize,
    partitions,
    run_ends,
    slices,
    staged_rows,
    stalls,
    stream_windows,
)

_THERE = select(func.count()).where(batches.c.run_id == bindparam("run_id"), batches.c.loaded > batches.c.second)
_NOTHING_SAID: Mapping[str, Any] = MappingProxyType({})


async def finalize_if_ended(unit: UnitOfWork, run: Run) -> None:
    """All is extracted: once nothing of the run is on the way any more, read what its steps have grouped; and after
    that judge it, and ask the loader to put the result in place. A run that failed replaces nothing."""
    if run.finalizing or run.totals.underway:
        return
    if await partitions.begin_groups(unit, run):
        await slices.release(unit, run)
        return
    if (missed := await quality.broken(unit, run, Stage.EXTRACT, Stage.LOAD)) is not None:
        await fail(unit, run, missed)
        return
    tally = run.totals.tally
    reached = final_status.of(tally, _batch_threshold(run), goes_on=run.stream is not None)
    if reached.status == run_rows.FAILED:
        await fail(unit, run, reached.error or "the run failed")
        return
    await run_rows.change(unit, run.run_id, finalizing=True)
    await put_in_place(unit, run)


async def put_in_place(unit: UnitOfWork, run: Run) -> None:
    """Ask the loader to put the result of a whole run in place. An empty one takes no other's, unless it may."""
    tally = run.totals.tally
    empty = tally.loaded == tally.second  # the first destination has got no row of this run
    keep = empty and not run.sample and not tallies.definition(run).load.allow_empty
    there = (await unit.connection.execute(_THERE, {"run_id": run.run_id})).scalar_one()
    finalize.ask(unit, run, run.epoch, complete=True, keep=keep, batches=there)


async def succeed(unit: UnitOfWork, run: Run, finalized: LoadFinalized) -> None:
    """End the run with its verdict, because the load is finalized, and drop what earlier runs left staged for this
    place."""
    placed = where(finalized)
    tally = run.totals.tally
    reached = final_status.of(tally, _batch_threshold(run), goes_on=run.stream is not None)
    if finalized.kept:
        reached = final_status.kept_old_result(reached)
    await incremental.advance(unit, run)
    shown = tallies.shown(tally, placed, ended=True)
    said = {"destination": finalized.location, "placed": placed}
    await _end(unit, run, reached.status, shown, error=reached.error, said=said)
    if reached.status == run_rows.SUCCEEDED:
        run_ends.ask_for_spawned(unit, run)
    if tally.staged and not finalized.kept:
        await staged_rows.supersede(unit, run)


def where(finalized: LoadFinalized) -> dict[str, bool]:
    """Return what the loader said of its places, as it stands in `pipeline_runs.placed`."""
    return {"first": finalized.placed, "second": finalized.second_placed}


async def fail(unit: UnitOfWork, run: Run, reason: str) -> None:
    """End a run that cannot go on. What was loaded stays; `loom resume` goes on where it stopped."""
    await _cut_short(unit, run, run_rows.FAILED, error=reason)


async def lose(unit: UnitOfWork, run: Run, reason: str) -> None:
    """End a run of which somebody removed rows that were staged. What is left of them is dropped, and none counts as
    loaded."""
    await _cut_short(unit, run, run_rows.FAILED, error=reason, reason=staged_rows.LOST, drop=True)


async def stop(unit: UnitOfWork, run: Run, limit: str) -> None:
    """End a run that passed a limit of its pipeline: `partial` where records are loaded, which are shown."""
    tally = run.totals.tally
    loaded = tally.loaded if final_status.adds(run) else tally.loaded - tally.staged
    status = run_rows.PARTIAL if loaded else run_rows.FAILED
    await _cut_short(unit, run, status, error=limit, reason=run_rows.FAILURE_LIMIT)


async def _cut_short(
    unit: UnitOfWork,
    run: Run,
    status: str,
    *,
    error: str | None,
    reason: str | None = None,
    drop: bool = False,
    unread: int = 0,
) -> None:
    """End a run before its time. What it added to its destination is shown. What it staged to replace a whole waits for
    `loom resume`, or is dropped."""
    tally = run.totals.tally
    asks = bool(tally.loaded or drop)
    epoch = await run_rows.raise_epoch(unit, run, status=status, placed=None)
    shown = tallies.shown(tally, None, ended=True)
    if reason == staged_rows.LOST or (drop and not final_status.adds(run)):
        shown = shown.model_copy(update={"staged": 0})
    shown = tallies.with_unread(shown, unread)
    # Who raised the error did not know the run, and what is told can be typed as it stands.
    told = None if error is None else error.replace("`loom resume`", f"`loom resume {run.run_id}`")
    cut = replace(run, epoch=epoch, placed=None)
    await _end(unit, cut, status, shown, error=told, reason=reason, finalizing=asks)
    if asks:
        finalize.ask(unit, run, epoch, complete=False, drop=drop)


async def late(unit: UnitOfWork, run: Run) -> bool:
    """End a run whose time is over; False where it is not."""
    if run.deadline is None or unit.now < run.deadline:
        return False
    held_up = f" At its end, {run.notice}" if run.notice else ""
    await fail(
        unit,
        run,
        f"the run took longer than {stalls.timeouts_of(run).run}, its `timeouts.run`.{held_up} What is loaded stays; "
        f"`loom resume` gives it as long again.",
    )
    return True


async def cancel(unit: UnitOfWork, run: Run, unread: int = 0) -> None:
    """End a run at the user's word. What it added stays and is shown; what it staged is dropped; the rest counts as
    cancelled, also the `unread` records that were left to it and that it had not begun to read."""
    await _cut_short(unit, run, run_rows.CANCELLED, error=None, drop=True, unread=unread)


async def correct(unit: UnitOfWork, run: Run, facts: Sequence[Message]) -> None:
    """Correct what is written where facts came after the end: of a batch that was in flight when the run was cancelled,
    stopped or failed, of the quarantine, or of the loader, which tells what of it can be read. Tell the end where they
    were all that was waited for."""
    if run.status not in (run_rows.CANCELLED, run_rows.FAILED, run_rows.PARTIAL):
        return
    run_id, placed = run.run_id, run.placed
    for fact in facts:
        if isinstance(fact, LoadFinalized):
            placed = where(fact)
    if run.reason == staged_rows.LOST and placed is not None:
        placed = {**placed, "first": False}
    finalizing = run.finalizing and not any(_answers(fact, run) for fact in facts)
    tally = run.totals.tally
    shown = tallies.shown(tally, placed, ended=True)
    if staged_rows.given_up(run):
        shown = shown.model_copy(update={"staged": 0})
        if any(isinstance(fact, BatchFact) and fact.header.tally.staged for fact in facts):
            finalize.ask(unit, run, run.epoch, complete=False, drop=True)
    if run.status == run_rows.CANCELLED and run.canary_of is not None and run.tally is not None:
        shown = tallies.with_unread(shown, run.tally.extracted - shown.extracted)
    await run_rows.change(unit, run_id, placed=placed, finalizing=finalizing, **tallies.columns(shown))
    await tallies.enter_lineage(unit, run, shown)
    await usage.add_up(unit, run)
    await run_ends.tell_where_complete(unit, run_id)


def _answers(fact: Message, run: Run) -> bool:
    """Tell whether a fact answers what the loader was asked at the end of the run, be it that it cannot do so."""
    if isinstance(fact, StageFailed):
        return fact.stage is Stage.LOAD and fact.epoch == run.epoch
    return isinstance(fact, LoadFinalized) and fact.epoch == run.epoch


def _batch_threshold(run: Run) -> float | None:
    definition = tallies.definition(run)
    return definition.evaluate.batch_threshold if definition.evaluate else None


async def _end(
    unit: UnitOfWork,
    run: Run,
    status: str,
    tally: Tally,
    *,
    error: str | None,
    reason: str | None = None,
    finalizing: bool = False,
    said: Mapping[str, Any] = _NOTHING_SAID,
) -> None:
    """Write the end, with what the loader has `said`. With `finalizing` it is being asked to finalize what there is."""
    run_id = run.run_id
    await tallies.summarize_evaluations(unit, run)
    await quality.write(unit, run)
    await schemas.store(unit, run, status)
    percentiles = run.totals.percentiles()
    duration = (unit.now - run.started_at).total_seconds()
    waits = await run_ends.an_answer_is_missing(unit, replace(run, finalizing=finalizing))
    written = {
        "status": status,
        "error_message": error,
        "completed_at": unit.now,
        "duration_seconds": duration,
        "notice": None,
        "reason": reason,
        "wanted": None,
        "finalizing": finalizing,
        "tell_by": unit.now + run_ends.PATIENCE if waits else None,
        "latency_p50": percentiles["p50"],
        "latency_p95": percentiles["p95"],
        "latency_p99": percentiles["p99"],
        "waited": run.totals.waiting_percentiles(),
        **tallies.columns(tally),
        **said,
    }
    await run_rows.change(unit, run_id, **written)
    ended = replace(run, **{**written, "tally": tally})
    await tallies.enter_lineage(unit, run, tally)
    await usage.add_up(unit, run)
    unit.observe(RUNS, run.pipeline_name, status)
    unit.ended.append(RunEnd(run_id, run.pipeline_name, status, run.started_at, unit.now, run.replay_of))
    unit.observe(DURATION, run.pipeline_name, value=duration, span=tracer().reference(run_id))
    await check.look(unit, run, at_end=True)
    if run.stream is not None:
        await stream_windows.ended(unit, ended)
    if not waits:
        await run_ends.tell(unit, ended)
