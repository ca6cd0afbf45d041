"""Queries where the records of runs came from, and where they went."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import bindparam, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.run.calls import CHEAP
from loom_coordinator.accounting.cascades import counts
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.run_totals import LABELLED
from loom_coordinator.db.tables.runs import pipeline_lineage, pipeline_runs
from loom_coordinator.db.tables.work import run_totals
from loom_coordinator.queries import pipelines
from loom_coordinator.queries.outcomes.spawned_runs import Spawned, spawned_by, spawner
from loom_coordinator.queries.runs import Alive, always_alive, status_of

_NEWEST = 10
"""Runs of a pipeline whose lineage is shown."""


_OF_PIPELINE = (
    select(pipeline_lineage, pipeline_runs, *LABELLED)
    .join(pipeline_runs, pipeline_runs.c.run_id == pipeline_lineage.c.run_id)
    .outerjoin(run_totals, run_totals.c.run_id == pipeline_lineage.c.run_id)
    .where(pipeline_runs.c.pipeline_name == bindparam("pipeline"))
    .order_by(pipeline_runs.c.started_at.desc())
    .limit(_NEWEST)
)
_OF_RUN = _OF_PIPELINE.where(pipeline_runs.c.run_id == bindparam("run_id"))
_REPLAYS = run_rows.RUNS.where(pipeline_runs.c.replay_of.in_(bindparam("run_ids", expanding=True))).order_by(
    pipeline_runs.c.started_at
)


@dataclass(frozen=True, slots=True)
class ReplayOf(Shown):
    """Describes a replay of a run's quarantined records."""

    run_id: str
    status: str
    loaded: int | None
    """Counts the records that the replay has loaded; None before its end."""


@dataclass(frozen=True, slots=True)
class TierCount(Shown):
    """Counts the records of a run that one tier of a cascade answered."""

    of: str
    """`transform`, or the name of an evaluator."""
    tier: str
    """`cheap` or `dear`."""
    name: str
    """Is the tier's model, scorer, function or type of evaluator."""
    records: int


@dataclass(frozen=True, slots=True)
class Lineage(Shown):
    """Describes the lineage of one run."""

    run_id: str
    input_source: str | None
    """The source's URL without credentials."""
    input_query: str | None
    input_record_count: int | None
    """Counts the records that were extracted."""
    stages: Sequence[Mapping[str, Any]] | None
    """Holds per stage in order its name as `stage`, `records_in` and `records_out`."""
    output_destination: str | None
    """The destination's URL without credentials."""
    output_record_count: int | None
    """Records loaded."""
    pipeline_version: str
    model: str | None
    prompt_version: str | None
    context_versions: Mapping[str, Any] | None
    """Holds the beginning of the content hash of each context file, by its path."""
    replay_of: str | None
    status: str
    started_at: dt.datetime
    replays: Sequence[ReplayOf]
    """Holds the replays in the order in which they were started."""
    spawned_by: str | None = None
    """The run that has spawned it; None where none has."""
    spawned: Sequence[Spawned] = ()
    """Holds the runs that it has spawned, in the order of its pipeline."""
    answered_by: Sequence[TierCount] = ()
    """Says how many records each tier of each cascade answered; empty for a run without cascades."""
    target: str | None = None
    """The target of the project that it ran for; None for none."""


async def of_pipeline(
    connection: AsyncConnection,
    pipeline: str,
    run_id: str | None = None,
    alive: Alive = always_alive,
) -> list[Lineage]:
    """Return the lineage of the run, or of the pipeline's ten newest runs that have ended, the newest first."""
    statement, which = (_OF_PIPELINE, {}) if run_id is None else (_OF_RUN, {"run_id": run_id})
    rows = (await connection.execute(statement, {"pipeline": pipeline, **which})).mappings().all()
    replays = await _replays(connection, [row[pipeline_runs.c.run_id] for row in rows], alive)
    found = []
    for row in rows:
        totals = {column.name: row[column.name] for column in LABELLED}
        run = Run.of({column.name: row[column] for column in pipeline_runs.columns} | totals)
        entered = {column.name: row[column] for column in pipeline_lineage.columns}
        found.append(
            Lineage(
                run_id=run.run_id,
                input_source=entered["input_source"],
                input_query=entered["input_query"],
                input_record_count=entered["input_record_count"],
                stages=entered["stages"],
                output_destination=entered["output_destination"],
                output_record_count=entered["output_record_count"],
                pipeline_version=run.pipeline_version,
                model=run.model,
                prompt_version=run.prompt_version,
                context_versions=run.context_versions,
                replay_of=run.replay_of,
                status=run.status,
                started_at=run.started_at,
                replays=replays[run.run_id],
                spawned_by=spawner(run),
                spawned=await spawned_by(connection, run, partial(status_of, alive=alive)),
                answered_by=await _tiers(connection, run),
                target=run.target,
            )
        )
    return found


async def newest_of_each(connection: AsyncConnection, alive: Alive = always_alive) -> list[tuple[str, Lineage]]:
    """Return the lineage of the newest run of each pipeline that has ended, with the pipeline's name."""
    found = []
    for name in await pipelines.names(connection):
        newest = (
            select(pipeline_runs.c.run_id)
            .where(pipeline_runs.c.pipeline_name == name, pipeline_runs.c.status.in_(run_rows.TERMINAL))
            .order_by(pipeline_runs.c.started_at.desc(), pipeline_runs.c.run_id.desc())
            .limit(1)
        )
        for run_id in (await connection.execute(newest)).scalars().all():
            found += [(name, each) for each in await of_pipeline(connection, name, run_id, alive)]
    return found


async def _tiers(connection: AsyncConnection, run: Run) -> list[TierCount]:
    return [
        TierCount(each.name, tier, each.cheap if tier == CHEAP else each.dear, records)
        for each in await counts.summaries(connection, run, ())
        for tier, records in each.answered.items()
    ]


async def _replays(connection: AsyncConnection, run_ids: Sequence[str], alive: Alive) -> dict[str, list[ReplayOf]]:
    found: dict[str, list[ReplayOf]] = {run_id: [] for run_id in run_ids}
    rows = await connection.execute(_REPLAYS, {"run_ids": run_ids})
    for run in [Run.of(row) for row in rows.mappings()]:
        if run.replay_of is not None:
            loaded = run.tally.loaded if run.tally else None
            found[run.replay_of].append(ReplayOf(run.run_id, status_of(run, alive), loaded))
    return found
