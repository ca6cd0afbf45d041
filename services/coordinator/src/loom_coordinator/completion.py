"""The end of a run: when it has come, what its status is, what is written and told."""

from __future__ import annotations

from sqlalchemy import RowMapping, delete

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import FinalizeLoad, RunFinished, RunReport
from loom_common.domain.gates import below_batch_threshold
from loom_common.domain.tally import Tally
from loom_common.flow import Stage
from loom_coordinator import accounts, report, runs, slicing, spending, stalls, watching
from loom_coordinator.tables import inbox
from loom_coordinator.unit import Unit


async def finalize_if_ended(unit: Unit, run: RowMapping) -> None:
    """All is extracted: ask the loader to publish the result, once nothing of the run is on the way any more."""
    if run["finalizing"] or await slicing.underway(unit, run["run_id"]):
        return
    await runs.change(unit, run["run_id"], finalizing=True)
    ask_to_finalize(unit, run, int(run["epoch"]), complete=True)


def ask_to_finalize(unit: Unit, run: RowMapping, epoch: int, *, complete: bool) -> None:
    """Send the loader the word that the run's batches are all there, or all there will be."""
    message = FinalizeLoad(
        run_id=run["run_id"], pipeline=run["pipeline_name"], plan=run["plan"], epoch=epoch, complete=complete
    )
    unit.send(Outgoing(flow.work(Stage.LOAD, run["pipeline_name"]), message))


async def succeed(unit: Unit, run: RowMapping) -> None:
    """The load is finalized: check that the ledger balances, judge the whole, and end the run.

    Where records are unaccounted for, the run may not be called succeeded: it fails, and says how many."""
    tally = await accounts.tally(unit.connection, run["run_id"])
    if not tally.balanced:
        await fail(unit, run, f"the ledger does not balance: {tally.underway} of {tally.extracted} records unaccounted")
        return
    message = below_batch_threshold(tally.passed - tally.unscored, tally.judged, await _batch_threshold(unit, run))
    await _end(unit, run, runs.PARTIAL if message else runs.SUCCEEDED, tally, error=message)


async def fail(unit: Unit, run: RowMapping, reason: str) -> None:
    """End a run that cannot go on. What was loaded stays; `loom resume` goes on where it stopped."""
    epoch = await runs.raise_epoch(unit, run)
    tally = cancelled(await accounts.tally(unit.connection, run["run_id"]))
    await _end(unit, run, runs.FAILED, tally, error=reason, epoch=epoch)


async def stop(unit: Unit, run: RowMapping, limit: str) -> None:
    """End a run that passed a limit of its pipeline: `partial` where records are loaded, which are shown."""
    epoch = await runs.raise_epoch(unit, run)
    tally = cancelled(await accounts.tally(unit.connection, run["run_id"]))
    await _end(
        unit,
        run,
        runs.PARTIAL if tally.loaded else runs.FAILED,
        tally,
        error=limit,
        reason=runs.FAILURE_LIMIT,
        epoch=epoch,
    )
    ask_to_finalize(unit, run, epoch, complete=False)


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
    """End a run at the user's word. What was loaded stays and is shown; the rest counts as cancelled."""
    epoch = await runs.raise_epoch(unit, run)
    tally = cancelled(await accounts.tally(unit.connection, run["run_id"]))
    await _end(unit, run, runs.CANCELLED, tally, error=None, epoch=epoch)
    ask_to_finalize(unit, run, epoch, complete=False)


async def correct(unit: Unit, run: RowMapping) -> None:
    """A fact came after the end: a batch that was in a worker's hands when the run was cancelled, stopped or failed."""
    if run["status"] in (runs.CANCELLED, runs.FAILED, runs.PARTIAL):
        tally = cancelled(await accounts.tally(unit.connection, run["run_id"]))
        await runs.change(unit, run["run_id"], **accounts.columns(tally))
        await spending.add_up(unit, run)


def cancelled(tally: Tally) -> Tally:
    """The tally of a run that ends here: what has not ended otherwise is cancelled."""
    return tally.plus(cancelled=tally.underway)


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
