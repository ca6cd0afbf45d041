"""The end of a run: when it has come, what its status is, what is written and told."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, delete

from loom_common import flow
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchFact, LoadFinalized, RunFinished, RunReport
from loom_common.domain.tally import Tally
from loom_coordinator import accounts, finalizing, report, runs, slicing, spending, staging, stalls, verdict, watching
from loom_coordinator.tables import inbox
from loom_coordinator.unit import Unit


async def finalize_if_ended(unit: Unit, run: RowMapping) -> None:
    """All is extracted: once nothing of the run is on the way any more, judge it, and ask the loader to put the result
    in place. A run that failed replaces nothing."""
    if run["finalizing"] or await slicing.underway(unit, run["run_id"]):
        return
    tally = await accounts.tally(unit.connection, run["run_id"])
    reached = verdict.of(tally, await _batch_threshold(unit, run))
    if reached.status == runs.FAILED:
        await fail(unit, run, reached.error or "the run failed")
        return
    await runs.change(unit, run["run_id"], finalizing=True)
    await put_in_place(unit, run)


async def put_in_place(unit: Unit, run: RowMapping) -> None:
    """Ask the loader to put the result of a whole run in place. An empty one takes no other's, unless it may."""
    tally = await accounts.tally(unit.connection, run["run_id"])
    empty = tally.loaded == tally.second  # the first destination has got no row of this run
    keep = empty and not run["sample"] and not (await accounts.definition(unit, run)).load.allow_empty
    finalizing.ask(unit, run, int(run["epoch"]), complete=True, keep=keep)


async def succeed(unit: Unit, run: RowMapping, finalized: LoadFinalized) -> None:
    """The load is finalized: end the run with its verdict, and drop what earlier runs left staged for this place."""
    placed = where(finalized)
    await runs.change(unit, run["run_id"], destination=finalized.location, placed=placed)
    tally = await accounts.tally(unit.connection, run["run_id"])
    reached = verdict.of(tally, await _batch_threshold(unit, run))
    if finalized.kept:
        reached = verdict.kept_old_result(reached)
    shown = accounts.shown(tally, placed, ended=True)
    await _end(unit, run, reached.status, shown, error=reached.error)
    if tally.staged and not finalized.kept:
        await staging.supersede(unit, run)


def where(finalized: LoadFinalized) -> dict[str, bool]:
    """What the loader said of its places, as it stands in `pipeline_runs.placed`."""
    return {"first": finalized.placed, "second": finalized.second_placed}


async def fail(unit: Unit, run: RowMapping, reason: str) -> None:
    """End a run that cannot go on. What was loaded stays; `loom resume` goes on where it stopped."""
    await _cut_short(unit, run, runs.FAILED, error=reason)


async def stop(unit: Unit, run: RowMapping, limit: str) -> None:
    """End a run that passed a limit of its pipeline: `partial` where records are loaded, which are shown."""
    tally = await accounts.tally(unit.connection, run["run_id"])
    loaded = tally.loaded if verdict.adds(run) else tally.loaded - tally.staged
    status = runs.PARTIAL if loaded else runs.FAILED
    await _cut_short(unit, run, status, error=limit, reason=runs.FAILURE_LIMIT)


async def _cut_short(
    unit: Unit,
    run: RowMapping,
    status: str,
    *,
    error: str | None,
    reason: str | None = None,
    drop: bool = False,
) -> None:
    """End a run before its time. What it added to its destination is shown. What it staged to replace a whole waits for
    `loom resume`, or is dropped."""
    epoch = await runs.raise_epoch(unit, run, placed=None)
    tally = await accounts.tally(unit.connection, run["run_id"])
    shown = accounts.shown(tally, None, ended=True)
    if drop and not verdict.adds(run):
        shown = shown.model_copy(update={"staged": 0})
    await _end(unit, run, status, shown, error=error, reason=reason, epoch=epoch)
    if tally.loaded or drop:
        finalizing.ask(unit, run, epoch, complete=False, drop=drop)


async def late(unit: Unit, run: RowMapping) -> bool:
    """End a run whose time is over; False where it is not."""
    if run["deadline"] is None or unit.now < run["deadline"]:
        return False
    held_up = f" At its end, {run['notice']}" if run["notice"] else ""
    await fail(
        unit,
        run,
        f"the run took longer than {stalls.timeouts_of(run).run}, its `timeouts.run`.{held_up} What is loaded stays; "
        f"`loom resume` gives it as long again.",
    )
    return True


async def cancel(unit: Unit, run: RowMapping) -> None:
    """End a run at the user's word. What it added stays and is shown; what it staged is dropped; the rest counts as
    cancelled."""
    await _cut_short(unit, run, runs.CANCELLED, error=None, drop=True)


async def correct(unit: Unit, run: RowMapping, facts: Sequence[Message]) -> None:
    """Facts came after the end: of a batch that was in a worker's hands when the run was cancelled, stopped or failed,
    or of the loader, which tells what of it can be read."""
    if run["status"] not in (runs.CANCELLED, runs.FAILED, runs.PARTIAL):
        return
    run_id, placed = run["run_id"], run["placed"]
    for fact in facts:
        if isinstance(fact, LoadFinalized):
            placed = where(fact)
            await runs.change(unit, run_id, placed=placed)
    tally = await accounts.tally(unit.connection, run_id)
    shown = accounts.shown(tally, placed, ended=True)
    if staging.given_up(run):
        shown = shown.model_copy(update={"staged": 0})
        if any(isinstance(fact, BatchFact) and fact.header.tally.staged for fact in facts):
            finalizing.ask(unit, run, int(run["epoch"]), complete=False, drop=True)
    await runs.change(unit, run_id, **accounts.columns(shown))
    await spending.add_up(unit, run)


async def _batch_threshold(unit: Unit, run: RowMapping) -> float | None:
    definition = await accounts.definition(unit, run)
    return definition.evaluate.batch_threshold if definition.evaluate else None


async def _end(
    unit: Unit,
    run: RowMapping,
    status: str,
    tally: Tally,
    *,
    error: str | None,
    reason: str | None = None,
    epoch: int | None = None,
) -> None:
    epoch = int(run["epoch"]) if epoch is None else epoch
    run_id = run["run_id"]
    await accounts.summarize_evaluations(unit, run)
    percentiles = await accounts.latency(unit, run_id)
    duration = (unit.now - run["started_at"]).total_seconds()
    await runs.change(
        unit,
        run_id,
        status=status,
        error_message=error,
        completed_at=unit.now,
        duration_seconds=duration,
        notice=None,
        reason=reason,
        wanted=None,
        finalizing=False,
        latency_p50=percentiles["p50"],
        latency_p95=percentiles["p95"],
        latency_p99=percentiles["p99"],
        waited=await accounts.waited(unit, run_id),
        **accounts.columns(tally),
    )
    await accounts.enter_lineage(unit, run, tally)
    await spending.add_up(unit, run)
    await watching.look(unit, run, at_end=True)
    await unit.connection.execute(delete(inbox).where(inbox.c.run_id == run_id))
    finished = await report.of(unit.connection, run_id)
    assert finished is not None
    _tell(unit, run, finished, epoch)


def _tell(unit: Unit, run: RowMapping, finished: RunReport, epoch: int) -> None:
    message = RunFinished(
        run_id=run["run_id"],
        pipeline=run["pipeline_name"],
        epoch=epoch,
        report=finished,
        replay_of=run["replay_of"],
    )
    unit.send(Outgoing(flow.fact("run", "finished", run["pipeline_name"]), message))
