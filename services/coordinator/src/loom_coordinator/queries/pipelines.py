"""Queries pipelines as their users ask for them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.queries import runs
from loom_coordinator.queries.runs import Alive, always_alive


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
    return list((await connection.execute(select(pipelines.c.name).order_by(pipelines.c.name))).scalars())


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
    columns = (pipelines.c.name, pipelines.c.version, pipelines.c.description)
    rows = (await connection.execute(select(*columns).order_by(pipelines.c.name))).all()
    return [await _pipeline(connection, name, version, about, alive) for name, version, about in rows]


async def _pipeline(
    connection: AsyncConnection, name: str, version: str, description: str | None, alive: Alive
) -> PipelineSummary:
    newest = await runs.history(connection, name, 1, alive)
    last = newest[0] if newest else None
    return PipelineSummary(
        name=name,
        version=version,
        description=description,
        last_run=last.run_id if last else None,
        last_status=last.status if last else None,
        last_started_at=last.started_at if last else None,
    )
