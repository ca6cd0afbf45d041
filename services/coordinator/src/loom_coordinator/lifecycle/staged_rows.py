"""Removes rows that a replacing run left beside its destination, because it ended before it could put them in place.

`loom resume` puts them in place. They are dropped when the run is cancelled, and when a later run of the pipeline has
replaced the same destination."""

from __future__ import annotations

from typing import Any

from loom_common.domain.run.tally import Tally
from loom_common.errors import ConfigurationError
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import final_status, finalize

SUPERSEDED = "superseded"
"""The reason of an end, as it stands in `pipeline_runs.reason`: a later run has replaced the destination."""
LOST = "rows_lost"
"""The reason of an end that is told where somebody removed rows that the run had staged."""
_WHY = {
    SUPERSEDED: "a later run has replaced the destination, and the rows it had staged were dropped",
    LOST: "somebody removed rows that it had staged",
}
_RESUMABLE = (run_rows.FAILED, run_rows.PARTIAL)


def held(run: Run) -> int:
    """Return the number of records of an ended run that are staged, and wait for a resume."""
    return run.tally.staged if run.tally is not None and run.status in run_rows.TERMINAL else 0


def given_up(run: Run) -> bool:
    """Tell whether what the run staged was dropped, or is about to be."""
    cancelled = run.status == run_rows.CANCELLED and not final_status.adds(run)
    return cancelled or run.reason in _WHY


def see_that_it_can_go_on(run: Run) -> None:
    """Raises `ConfigurationError` for a run whose staged rows are gone."""
    if not given_up(run):
        return
    written = run.totals.tally
    in_place = run.placed is not None and run.placed["first"]
    if not written.staged or in_place:
        return
    why = _WHY.get(run.reason or "", "it was cancelled, and the rows it had staged were dropped")
    raise ConfigurationError(
        f"Run {run.run_id} cannot be resumed: {why}. Run the pipeline again; "
        "answers that were paid for are taken from the journal."
    )


async def drop(unit: UnitOfWork, run: Run, **changes: Any) -> None:
    """Have what an ended run staged removed; `changes` are set in its row besides."""
    counted = run.tally or Tally()
    tally = counted.model_copy(update={"staged": 0})
    changes = {"status": run.status, **changes}
    epoch = await run_rows.raise_epoch(unit, run, tally=tally.model_dump(), **changes)
    finalize.ask(unit, run, epoch, complete=False, drop=True)


async def supersede(unit: UnitOfWork, run: Run) -> None:
    """The run has replaced its destination: what earlier runs of the pipeline have staged for it is of no use."""
    if run.sample:
        return
    earlier = await unit.connection.execute(
        run_rows.RUNS.where(
            pipeline_runs.c.pipeline_name == run.pipeline_name,
            pipeline_runs.c.status.in_(_RESUMABLE),
            pipeline_runs.c.run_id != run.run_id,
            pipeline_runs.c.sample.is_(None),
            pipeline_runs.c.tally["staged"].as_integer() > 0,
        ).with_for_update(skip_locked=True, of=pipeline_runs)  # one that is being resumed at this moment keeps its rows
    )
    place = run.definition["load"]["destination"]
    for other in [Run.of(row) for row in earlier.mappings()]:
        if other.definition["load"]["destination"] == place:
            await drop(unit, other, reason=SUPERSEDED)
