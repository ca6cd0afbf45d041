"""Queries runs as their users ask for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, func, select, text, true

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import RunReport
from loom_common.domain.json_values.shown import Shown, as_json
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.lifecycle import run_report
from loom_coordinator.queries.outcomes.spawned_runs import Spawned, spawned_by, spawner
from loom_coordinator.queries.run_filter import INTERRUPTED, RunFilter, RunKey

_OWNED = select(pipeline_runs.c.run_id, pipeline_runs.c.owner).where(
    pipeline_runs.c.status == run_rows.RUNNING, pipeline_runs.c.owner.is_not(None)
)
Alive = Callable[[str], bool]
"""Says whether an embedded engine still runs, by the name that `pipeline_runs.owner` holds."""


def always_alive(_owner: str) -> bool:
    """Return True, for a cluster, whose coordinators take over from one another."""
    return True


def status_of(run: Run, alive: Alive = always_alive) -> str:
    """Return the run's status as people are shown it."""
    gone = run.status == run_rows.RUNNING and run.owner and not alive(run.owner)
    return INTERRUPTED if gone else run.status


@dataclass(frozen=True, slots=True)
class RunSummary(Shown):
    """Describes a run on a line of a history."""

    run_id: str
    pipeline_name: str
    pipeline_version: str
    status: str
    started_at: dt.datetime
    completed_at: dt.datetime | None
    duration_seconds: float | None
    """None for a run that has not ended."""
    records_processed: int
    """Counts the records that were extracted."""
    records_validated: int
    """The number of records that passed their gate."""
    records_rejected: int
    rejection_rate: float | None
    """The share of the records that the gate decided about, from 0 to 1; None where it decided about none."""
    cost_total: float | None
    """Holds the cost in USD."""
    error_message: str | None
    sample: int | None
    """The number of records that `--sample` limited it to; None for a whole run."""
    target: str | None
    """The target of the project that it ran for; None for none."""


@dataclass(frozen=True, slots=True)
class RunWithParams(Shown):
    """Describes a whole run by its parameters."""

    run_id: str
    status: str
    params: Mapping[str, Any]
    cost_total: float
    """An amount in USD, as far as the run has come."""


@dataclass(frozen=True, slots=True)
class ShownRun(Shown):
    """Shows a run's report, with when it ran, with what, and what holds it up."""

    report: RunReport
    status: str
    started_at: dt.datetime
    completed_at: dt.datetime | None
    params: Mapping[str, Any]
    """Holds the parameters of the request, by the names that the pipeline gives them."""
    model: str | None
    prompt_version: str | None
    replay_of: str | None
    """The run whose quarantined records it runs over again."""
    notice: str | None
    """Says what holds it up, in a sentence."""
    requested_by: str | None
    """The name of who asked for it, as the request says it."""
    preflight: Mapping[str, Any] | None
    """Says what was found before it began: `checks` and `columns`; None where nobody looked."""
    spawned_by: str | None = None
    """The run that has spawned it; None where none has."""
    spawned: Sequence[Spawned] = ()
    """Holds the runs that it has spawned, in the order of its pipeline."""

    def as_json(self) -> dict[str, Any]:
        """Write the report's fields, and these beside them."""
        rest = {
            "status": self.status,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "params": self.params,
            "model": self.model,
            "prompt_version": self.prompt_version,
            "replay_of": self.replay_of,
            "notice": self.notice,
            "requested_by": self.requested_by,
            "preflight": self.preflight,
            "spawned_by": self.spawned_by,
            "spawned": self.spawned,
        }
        return self.report.model_dump() | {name: as_json(value) for name, value in rest.items()}


async def find(connection: AsyncConnection, run_id: str) -> Run:
    """Return the run as it stands now. Raises `NotFound` where there is no such run."""
    if (run := await run_rows.find(connection, run_id)) is None:
        raise run_rows.unknown(run_id)
    return run


async def status(connection: AsyncConnection, run_id: str, alive: Alive = always_alive) -> str | None:
    """Return a run's status as people are shown it; None where there is no such run."""
    run = await run_rows.find(connection, run_id)
    return None if run is None else status_of(run, alive)


async def report(connection: AsyncConnection, run_id: str) -> RunReport | None:
    """Return a run's report as far as it has come; None where there is no such run."""
    return await run_report.of(connection, run_id)


async def shown(connection: AsyncConnection, run_id: str, alive: Alive = always_alive) -> ShownRun | None:
    """Return all that `loom status` shows of a run; None where there is no such run."""
    run = await run_rows.find(connection, run_id)
    return None if run is None else await shown_of(connection, run, alive)


async def shown_of(connection: AsyncConnection, run: Run, alive: Alive = always_alive) -> ShownRun:
    """Return the same of a run as it was read just now."""
    return ShownRun(
        report=await run_report.of_run(connection, run),
        status=status_of(run, alive),
        started_at=run.started_at,
        completed_at=run.completed_at,
        params=run.params,
        model=run.model,
        prompt_version=run.prompt_version,
        replay_of=run.replay_of,
        notice=run.notice,
        requested_by=run.requested_by,
        preflight=run.preflight,
        spawned_by=spawner(run),
        spawned=await spawned_by(connection, run, partial(status_of, alive=alive)),
    )


async def manifest(
    connection: AsyncConnection,
    pipeline: str | None = None,
    status: str | None = None,
    limit: int | None = None,
    alive: Alive = always_alive,
) -> list[ShownRun]:
    """Return all that is known of each run: of a pipeline or of all, of a status or of any, the newest first, and at
    most `limit` of them."""
    statement = run_rows.RUNS.where(_of(pipeline)).order_by(pipeline_runs.c.started_at.desc())
    if status is not None:
        row_status = run_rows.RUNNING if status == INTERRUPTED else status
        statement = statement.where(pipeline_runs.c.status == row_status)
    found = [Run.of(row) for row in (await connection.execute(statement)).mappings()]
    chosen = [run for run in found if status in (None, status_of(run, alive))][:limit]
    return [await shown_of(connection, run, alive) for run in chosen]


async def history(
    connection: AsyncConnection,
    pipeline: str | None,
    limit: int,
    alive: Alive = always_alive,
    among: frozenset[str] | None = None,
) -> list[RunSummary]:
    """Return the newest runs of a pipeline, of those `among` which it is looked, or of all; at most `limit`, the newest
    first."""
    return await page(connection, RunFilter(pipeline=pipeline, among=among), limit, alive=alive)


async def page(
    connection: AsyncConnection,
    chosen: RunFilter,
    limit: int,
    after: RunKey | None = None,
    alive: Alive = always_alive,
) -> list[RunSummary]:
    """Return the newest runs that match, at most `limit`, the newest first. `after` is the last run of the page before,
    which is continued."""
    interrupted = await _interrupted(connection, alive) if chosen.statuses else []
    conditions = [*chosen.conditions(interrupted), *([] if after is None else [after.after()])]
    order = (pipeline_runs.c.started_at.desc(), pipeline_runs.c.run_id.desc())
    statement = run_rows.RUNS.where(*conditions).order_by(*order).limit(limit)
    runs = [Run.of(row) for row in (await connection.execute(statement)).mappings()]
    return [summary_of(run, alive) for run in runs]


async def at_work(connection: AsyncConnection, owner: str) -> list[str]:
    """Return the ids of the runs that an embedded engine is at work on, or lets go on when the next day begins."""
    columns = pipeline_runs.c
    running = (columns.owner == owner, (columns.status == run_rows.RUNNING) | columns.resumes_at.is_not(None))
    return list((await connection.execute(select(columns.run_id).where(*running))).scalars())


async def _interrupted(connection: AsyncConnection, alive: Alive) -> list[str]:
    return [run_id for run_id, owner in await connection.execute(_OWNED) if owner and not alive(owner)]


async def with_params(
    connection: AsyncConnection, pipeline: str, target: str | None = None, alive: Alive = always_alive
) -> list[RunWithParams]:
    """Return the runs of a pipeline for a target, the newest first, without samples and replays."""
    columns = pipeline_runs.c
    of_target = columns.target.is_not_distinct_from(target)
    whole = (columns.pipeline_name == pipeline, of_target, columns.sample.is_(None), columns.replay_of.is_(None))
    statement = run_rows.RUNS.where(*whole).order_by(columns.started_at.desc())
    found = [Run.of(row) for row in (await connection.execute(statement)).mappings()]
    return [
        RunWithParams(run.run_id, status_of(run, alive), run.params, summary_of(run, alive).cost_total or 0.0)
        for run in found
    ]


async def incarnation(connection: AsyncConnection) -> str:
    """Return a text that is another one for run state that was made anew in the place of this one. Postgres gives every
    table that is created a number of its own."""
    return str((await connection.execute(text("SELECT 'pipeline_runs'::regclass::oid"))).scalar_one())


async def number_of_runs(connection: AsyncConnection, pipeline: str | None, among: frozenset[str] | None = None) -> int:
    """Return how many runs a pipeline had, those `among` which it is looked, or all together."""
    chosen = RunFilter(pipeline=pipeline, among=among).conditions(())
    query = select(func.count()).select_from(pipeline_runs).where(*chosen)
    return int((await connection.execute(query)).scalar_one())


def _of(pipeline: str | None) -> ColumnElement[bool]:
    return true() if pipeline is None else pipeline_runs.c.pipeline_name == pipeline


def summary_of(run: Run, alive: Alive) -> RunSummary:
    """Return a run as a line of a history shows it. The counts and the cost of a run that has not ended are those of
    its totals: its row has them at its end."""
    counts = {} if run.has_ended else tallies.columns(run.totals.tally)
    return RunSummary(
        run_id=run.run_id,
        pipeline_name=run.pipeline_name,
        pipeline_version=run.pipeline_version,
        status=status_of(run, alive),
        started_at=run.started_at,
        completed_at=run.completed_at,
        duration_seconds=run.duration_seconds,
        records_processed=counts.get("records_processed", run.records_processed),
        records_validated=counts.get("records_validated", run.records_validated),
        records_rejected=counts.get("records_rejected", run.records_rejected),
        rejection_rate=counts.get("rejection_rate", run.rejection_rate),
        cost_total=counts.get("cost_total", run.cost_total),
        error_message=run.error_message,
        sample=run.sample,
        target=run.target,
    )
