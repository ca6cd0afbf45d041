"""Rows that a replacing run left beside its destination, because it ended before it could put them in place.

`loom resume` puts them in place. They are dropped when the run is cancelled, and when a later run of the pipeline has
replaced the same destination."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping, select

from loom_common.errors import ConfigurationError
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.tables import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import final_status, finalize

SUPERSEDED = "superseded"
"""The reason of an end, as it stands in `pipeline_runs.reason`: a later run has replaced the destination."""
_RESUMABLE = (run_rows.FAILED, run_rows.PARTIAL)


def held(run: RowMapping) -> int:
    """Records of an ended run that are staged, and wait for a resume."""
    return int((run["tally"] or {}).get("staged", 0)) if run["status"] in run_rows.TERMINAL else 0


def given_up(run: RowMapping) -> bool:
    """Whether what the run staged was dropped, or is about to be."""
    cancelled = run["status"] == run_rows.CANCELLED and not final_status.adds(run)
    return cancelled or run["reason"] == SUPERSEDED


async def see_that_it_can_go_on(unit: UnitOfWork, run: RowMapping) -> None:
    """Raises `ConfigurationError` for a run whose staged rows are gone."""
    if not given_up(run):
        return
    written = await tallies.tally(unit.connection, run["run_id"])
    in_place = run["placed"] is not None and run["placed"]["first"]
    if not written.staged or in_place:
        return
    why = "a later run has replaced the destination" if run["reason"] == SUPERSEDED else "it was cancelled"
    raise ConfigurationError(
        f"Run {run['run_id']} cannot be resumed: {why}, and the rows it had staged were dropped. Run the pipeline "
        "again; answers that were paid for are taken from the journal."
    )


async def drop(unit: UnitOfWork, run: RowMapping, **changes: Any) -> None:
    """Have what an ended run staged removed; `changes` are set in its row besides."""
    epoch = await run_rows.raise_epoch(unit, run, tally={**run["tally"], "staged": 0}, **changes)
    finalize.ask(unit, run, epoch, complete=False, drop=True)


async def supersede(unit: UnitOfWork, run: RowMapping) -> None:
    """The run has replaced its destination: what earlier runs of the pipeline have staged for it is of no use."""
    if run["sample"]:
        return
    earlier = await unit.connection.execute(
        select(pipeline_runs)
        .where(
            pipeline_runs.c.pipeline_name == run["pipeline_name"],
            pipeline_runs.c.status.in_(_RESUMABLE),
            pipeline_runs.c.run_id != run["run_id"],
            pipeline_runs.c.sample.is_(None),
            pipeline_runs.c.tally["staged"].as_integer() > 0,
        )
        .with_for_update(skip_locked=True)  # one that is being resumed at this moment keeps its rows
    )
    place = run["definition"]["load"]["destination"]
    for row in earlier.mappings().all():
        if row["definition"]["load"]["destination"] == place:
            await drop(unit, row, reason=SUPERSEDED)
