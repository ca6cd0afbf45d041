"""Cancel, pause, resume, priority. The first three raise the run's epoch, so that what is on its way becomes stale."""

from __future__ import annotations

import datetime as dt

from loom_common.contracts.v1 import RunAccepted, RunCommand
from loom_common.domain.values.durations import seconds
from loom_common.errors import ConfigurationError
from loom_coordinator.accounting import failure_limits, incremental, quality, usage
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import apply_facts, replays
from loom_coordinator.lifecycle import (
    budget_pause,
    completion,
    final_status,
    finalize,
    slices,
    staged_rows,
    stalls,
    stream_windows,
)
from loom_coordinator.lifecycle.run_progress import paused


async def carry_out(unit: UnitOfWork, command: RunCommand) -> RunAccepted:
    """Carry out a command, and say what the run's status is now. Raises `ConfigurationError` where it cannot be
    done."""
    run = (await run_rows.lock(unit, [command.run_id])).get(command.run_id)
    if run is None:
        raise run_rows.unknown(command.run_id)
    match command.verb:
        case "cancel":
            status = await cancel(unit, run)
        case "pause":
            status = await pause(unit, run)
        case "resume":
            status = await resume(unit, run, command.budget)
        case "priority":
            status = await prioritize(unit, run, command.priority)
        case "drain" | "promote" | "rollback":
            raise ConfigurationError(f"Run {run.run_id} is no window of a stream: it ends with its source.")
    now = (await run_rows.lock(unit, [command.run_id]))[command.run_id]
    return RunAccepted(run_id=command.run_id, pipeline=run.pipeline_name, status=status, epoch=now.epoch)


async def cancel(unit: UnitOfWork, run: Run, *, with_its_stream: bool = False, unread: int = 0) -> str:
    """End the run, of which so many records are `unread` that nobody else will read. Cancelling what has ended drops
    what it has staged. Cancelling what was cancelled asks the loader once more for what the first time asked of it:
    that message may be lost with a broker."""
    if staged_rows.held(run) and not final_status.adds(run):
        await staged_rows.drop(unit, run, status=run_rows.CANCELLED)
        return run_rows.CANCELLED
    if run.status == run_rows.CANCELLED:
        finalize.ask(unit, run, run.epoch, complete=False, drop=True)
    elif run.status not in run_rows.TERMINAL:
        if run.canary_of is not None and not with_its_stream and not await stream_windows.is_read(unit, run):
            raise ConfigurationError(
                f"Run {run.run_id} has the records of a version on trial, and more of them come. `loom rollback "
                f"{run.stream}` ends that first."
            )
        await completion.cancel(unit, run, unread)
    else:
        return run.status
    return run_rows.CANCELLED


async def pause(unit: UnitOfWork, run: Run) -> str:
    """Stop asking for more, and let workers drop what is on its way. Nothing is lost: resume asks again."""
    if run.status == run_rows.RUNNING or run.resumes_at is not None:
        await paused(unit, run)
        return run_rows.PAUSED
    return run.status


async def resume(unit: UnitOfWork, run: Run, budget: float | None = None, *, closing: bool = False) -> str:
    """Ask again for everything that has not ended. The run has its time again, as many failures as its limits allow,
    and `budget` USD in all where that is given. Takes over one whose engine is gone. A window of a stream that is
    `closing` takes nothing more from its source."""
    if run.status in (run_rows.SUCCEEDED, run_rows.PARTIAL) and run.reason != run_rows.FAILURE_LIMIT:
        raise ConfigurationError(f"Run {run.run_id} has ended ({run.status}): there is nothing to resume.")
    if run.stream is not None and run.status == run_rows.CANCELLED:
        raise ConfigurationError(
            f"Run {run.run_id} is a window of {run.stream} that was cancelled; the stream has gone on without it."
        )
    await replays.see_that_it_may_be_resumed(unit, run)
    await incremental.see_that_it_may_be_resumed(unit, run)
    staged_rows.see_that_it_can_go_on(run)
    booked = await usage.cost_of_run(unit.connection, run.run_id)
    counted = await failure_limits.so_far(unit, run)
    await run_rows.raise_epoch(
        unit,
        run,
        **budget_pause.resumed(run, budget, booked),
        status=run_rows.RUNNING,
        finalizing=False,
        notice=None,
        wanted=None,
        resumes_at=None,
        owner=unit.owner,
        error_message=None,
        completed_at=None,
        deadline=await _deadline(unit, run),
        counted_before=counted,
        counted=counted,
        placed=None,
        tell_by=None,
    )
    await quality.forget_failure(unit, run.run_id)
    fresh = (await run_rows.lock(unit, [run.run_id]))[run.run_id]
    await slices.reissue(unit, fresh, closing=closing)
    await apply_facts.advance(unit, fresh)
    return run_rows.RUNNING


async def _deadline(unit: UnitOfWork, run: Run) -> dt.datetime | None:
    """Return by when a run that is resumed ends; None for a window of a stream that still reads."""
    if run.stream is not None:
        is_read = stream_windows.is_read(unit, run) if run.canary_of else slices.exhausted(unit, run.run_id)
        if not await is_read:
            return None
    return unit.now + dt.timedelta(seconds=seconds(stalls.timeouts_of(run).run))


async def prioritize(unit: UnitOfWork, run: Run, priority: int | None) -> str:
    """Change the run's share beside other runs; effective with its next slice."""
    await run_rows.change(unit, run.run_id, priority=given(priority))
    return run.status


def given(priority: int | None) -> int:
    """Return the priority that a command gives. Raises `ConfigurationError` where it gives none."""
    if priority is None:
        raise ConfigurationError("A priority command needs `priority`: 1 to 10.")
    return priority
