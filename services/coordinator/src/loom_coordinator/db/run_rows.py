"""Reads, locks and changes rows of `pipeline_runs`."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, and_, bindparam, or_, select, update

from loom_common import flow
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunEpoch
from loom_common.errors import NotFound
from loom_coordinator.db import run_totals
from loom_coordinator.db.run import Run
from loom_coordinator.db.run_totals import LABELLED, NOTHING
from loom_coordinator.db.tables import work
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork, one_of

RUNNING = "running"
PAUSED = "paused"
SUCCEEDED = "succeeded"
PARTIAL = "partial"
FAILED = "failed"
CANCELLED = "cancelled"
FAILURE_LIMIT = "failure_limit"
"""The reason of an end, as it stands in `pipeline_runs.reason`: a limit of failed records was passed."""
TERMINAL = frozenset({SUCCEEDED, PARTIAL, FAILED, CANCELLED})
OVER = or_(
    pipeline_runs.c.status == SUCCEEDED,
    and_(pipeline_runs.c.status == PARTIAL, pipeline_runs.c.reason.is_distinct_from(FAILURE_LIMIT)),
)
"""Tells, in a query, whether a run cannot be resumed. One that failed or was cancelled can."""


def is_over(run: Run) -> bool:
    """Tell the same of a run as it was read. Pure."""
    return run.status == SUCCEEDED or (run.status == PARTIAL and run.reason != FAILURE_LIMIT)


RUNS = select(pipeline_runs, *LABELLED).select_from(
    pipeline_runs.outerjoin(work.run_totals, work.run_totals.c.run_id == pipeline_runs.c.run_id)
)
"""All that `Run.of` reads."""
_MINE = pipeline_runs.c.owner.is_not_distinct_from(bindparam("owner", type_=pipeline_runs.c.owner.type))
_GOES_ON = (pipeline_runs.c.status == PAUSED) & pipeline_runs.c.resumes_at.is_not(None)
_RUNNING = RUNS.where(_MINE, pipeline_runs.c.status == RUNNING)
_ACTIVE = RUNS.where(_MINE, (pipeline_runs.c.status == RUNNING) | _GOES_ON)
"""Statements over so many columns that building one takes longer than carrying it out."""
_FOUND = RUNS.where(pipeline_runs.c.run_id == bindparam("run_id"))
_ENTER = pipeline_runs.insert().returning(pipeline_runs)


async def enter(unit: UnitOfWork, columns: Mapping[str, Any]) -> Run:
    """Enter a run with these columns, which nobody else knows before the unit ends, and return it. It is locked."""
    row = (await unit.connection.execute(_ENTER, columns)).mappings().one()
    return Run.of(row, NOTHING)


async def count_known(unit: UnitOfWork, run_id: str, more: int) -> None:
    """Count messages that came again while a run read, and were left out."""
    here = update(pipeline_runs).where(pipeline_runs.c.run_id == run_id)
    await unit.connection.execute(here.values(known=pipeline_runs.c.known + more))


async def lock(unit: UnitOfWork, run_ids: Iterable[str]) -> dict[str, Run]:
    """Lock the rows of these runs until the unit ends, in a fixed order so that none deadlock, and return them."""
    named = list(run_ids)
    rows = (await unit.connection.execute(_locking(unit.dialect), {"run_ids": named})).mappings().all()
    if unit.dialect == "sqlite":  # the unit has the only lock, and nothing was waited for
        return {row["run_id"]: Run.of(row) for row in rows}
    # A query that waited for a lock returns joined rows as they were before. So the totals are read by one of its own.
    totals = await run_totals.read(unit, named)
    return {row["run_id"]: Run.of(row, totals.get(row["run_id"], NOTHING)) for row in rows}


@functools.cache
def _locking(dialect: str) -> Select[tuple[object, ...]]:
    named = one_of(dialect, pipeline_runs.c.run_id, bindparam("run_ids"))
    if dialect == "sqlite":
        return RUNS.where(named).order_by(pipeline_runs.c.run_id)
    return select(pipeline_runs).where(named).order_by(pipeline_runs.c.run_id).with_for_update()


async def find(connection: AsyncConnection, run_id: str) -> Run | None:
    """Return the run as it stands now, without a lock; None where there is no such run."""
    row = (await connection.execute(_FOUND, {"run_id": run_id})).mappings().one_or_none()
    return None if row is None else Run.of(row)


async def find_alone(engine: AsyncEngine, run_id: str) -> Run | None:
    """Return the run as `find` does, where nothing else is read with it: in one visit to the database."""
    rows = await engine.fetch(_FOUND, {"run_id": run_id})
    return Run.of(rows[0]._mapping) if rows else None


async def running(unit: UnitOfWork) -> list[Run]:
    """Return the runs of this coordinator that are at work, without a lock."""
    return [Run.of(row) for row in (await unit.connection.execute(_RUNNING, {"owner": unit.owner})).mappings()]


async def active(unit: UnitOfWork) -> list[Run]:
    """Return those that are at work, or go on by themselves, without a lock."""
    return [Run.of(row) for row in (await unit.connection.execute(_ACTIVE, {"owner": unit.owner})).mappings()]


def unknown(run_id: str) -> NotFound:
    """Return the error for a run that has no row."""
    return NotFound(
        f"There is no run {run_id} in the coordinator's state database. `loom history PIPELINE` lists the runs of a "
        "pipeline, and `loom-coordinator runs` those of a cluster."
    )


async def change(unit: UnitOfWork, run_id: str, **values: Any) -> None:
    """Set columns of a run."""
    await unit.change(pipeline_runs, run_id, values)


async def want(connection: AsyncConnection, run_id: str, verb: str) -> None:
    """Leave a command for the process that owns the run: its sweeper carries it out."""
    await connection.execute(update(pipeline_runs).where(pipeline_runs.c.run_id == run_id).values(wanted=verb))


async def raise_epoch(unit: UnitOfWork, run: Run, *, status: str, **values: Any) -> int:
    """Make everything on its way for this run stale, and tell every worker so, with the `status` that the run has from
    now on: what waits at a provider is cancelled with a run that is cancelled, and with no other."""
    epoch = run.epoch + 1
    await change(unit, run.run_id, epoch=epoch, status=status, **values)
    told = RunEpoch(run_id=run.run_id, epoch=epoch, cancelled=status == CANCELLED)
    unit.send(Outgoing(flow.control("all"), told, mandatory=False))
    return epoch
