"""Queries pipelines as their users ask for them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.queries import runs
from loom_coordinator.queries.runs import Alive, always_alive

_NAMES = select(pipelines.c.name).order_by(pipelines.c.name)
_LISTED = select(pipelines.c.name, pipelines.c.version, pipelines.c.description).order_by(pipelines.c.name)
_NEWEST = (
    select(pipeline_runs.c.run_id)
    .where(pipeline_runs.c.pipeline_name == pipelines.c.name)
    .order_by(pipeline_runs.c.started_at.desc(), pipeline_runs.c.run_id.desc())
    .limit(1)
    .scalar_subquery()
)
_NEWEST_OF_EACH = run_rows.RUNS.where(pipeline_runs.c.run_id.in_(select(_NEWEST).select_from(pipelines)))
"""Finds the newest run of each pipeline, by one look at an index for each."""


@dataclass(frozen=True, slots=True)
class PipelineSummary(Shown):
    """Describes a pipeline that has run, with its newest run."""

    name: str
    version: str
    description: str | None
    last_run: str | None
    last_status: str | None
    last_started_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class PipelineVersion(Shown):
    """Describes a version of a pipeline that has run."""

    version: str
    runs: int
    first_started_at: dt.datetime
    last_started_at: dt.datetime


async def names(connection: AsyncConnection) -> list[str]:
    """Return the names of the pipelines that have run, in their order."""
    return list((await connection.execute(_NAMES)).scalars())


async def definition(connection: AsyncConnection, name: str) -> dict[str, Any] | None:
    """Return the definition of a pipeline that was run or entered last; None where there is none of this name."""
    found: dict[str, Any] | None = (
        await connection.execute(select(pipelines.c.definition).where(pipelines.c.name == name))
    ).scalar_one_or_none()
    return found


async def bases(connection: AsyncConnection) -> dict[str, str]:
    """Return the folder of each pipeline that has run: below the project's folder, or whole."""
    rows = (await connection.execute(select(pipelines.c.name, pipelines.c.base))).all()
    return {row.name: row.base for row in rows}


async def versions(connection: AsyncConnection, pipeline: str) -> list[PipelineVersion]:
    """Return the versions of a pipeline that have run, the one that ran last first."""
    columns = pipeline_runs.c
    last = func.max(columns.started_at)
    statement = (
        select(columns.pipeline_version, func.count(), func.min(columns.started_at), last)
        .where(columns.pipeline_name == pipeline)
        .group_by(columns.pipeline_version)
        .order_by(last.desc(), columns.pipeline_version)
    )
    return [PipelineVersion(*row) for row in await connection.execute(statement)]


async def registered(connection: AsyncConnection, alive: Alive = always_alive) -> list[PipelineSummary]:
    """Return every pipeline that has run, by name, with its newest run."""
    rows = (await connection.execute(_LISTED)).all()
    runs_found = [Run.of(row) for row in (await connection.execute(_NEWEST_OF_EACH)).mappings()] if rows else []
    newest = {run.pipeline_name: run for run in runs_found}
    return [_summary(name, version, about, newest.get(name), alive) for name, version, about in rows]


def _summary(name: str, version: str, description: str | None, last: Run | None, alive: Alive) -> PipelineSummary:
    return PipelineSummary(
        name=name,
        version=version,
        description=description,
        last_run=last.run_id if last else None,
        last_status=runs.status_of(last, alive) if last else None,
        last_started_at=last.started_at if last else None,
    )
