"""Queries the batches of a run: which are in flight, how long nothing was heard of them, and how fast they end."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.flow import Stage
from loom_coordinator.accounting import running_totals
from loom_coordinator.accounting.batches import IS_UNDERWAY
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.work import batches
from loom_coordinator.lifecycle import stalls
from loom_coordinator.queries import runs

_QUARANTINE = "quarantine"
"""What a batch waits for that is loaded while records of it are still being written to the quarantine."""


@dataclass(frozen=True, slots=True)
class BatchInFlight(Shown):
    """Describes a batch that has not ended."""

    batch_id: str
    partition: int
    slice: int
    position: int
    """Holds the batch's place in the slice, from 0."""
    records: int
    """Counts the records that were extracted."""
    waits_for: str
    """The stage that is to come, or `quarantine`."""
    silent_seconds: float
    """The number of seconds since its last fact."""
    asked_again_after_seconds: float
    """The timeout of that stage: when nothing of the run is heard for so long, its batches are asked for again."""


@dataclass(frozen=True, slots=True)
class BatchLine(Shown):
    """Describes a batch of a run, and what became of its records."""

    batch_id: str
    partition: int
    slice: int
    position: int
    """Holds the batch's place in the slice, from 0."""
    stage: str
    """The last stage that has said what it did with the batch."""
    state: str
    """`done`, or `underway` for a batch in flight."""
    extracted: int
    """The number of records; so are the next six."""
    passed: int
    rejected: int
    skipped: int
    quarantined: int
    loaded: int
    cancelled: int
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Names a batch by its place in a run."""

    partition: int
    slice: int
    position: int


_PLACE = (batches.c.partition, batches.c.slice, batches.c.position)


async def page(connection: AsyncConnection, run_id: str, limit: int, after: BatchKey | None = None) -> list[BatchLine]:
    """Return batches of a run, at most `limit`, in the order of the source. `after` is the last batch of the page
    before, which is continued. Raises `NotFound` where there is no such run."""
    await runs.find(connection, run_id)
    statement = select(*(batches.c[field.name] for field in dataclasses.fields(BatchLine)))
    statement = statement.where(batches.c.run_id == run_id).order_by(*_PLACE).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(*_PLACE) > tuple_(after.partition, after.slice, after.position))
    return [BatchLine(**row) for row in (await connection.execute(statement)).mappings()]


async def in_flight(
    connection: AsyncConnection, now: dt.datetime, run_id: str, silent_seconds: float, limit: int
) -> list[BatchInFlight]:
    """Return batches of which nothing was heard for `silent_seconds`, the one silent for longest first. Raises
    `NotFound` where there is no such run."""
    limits = stalls.limits_of(await runs.find(connection, run_id))
    columns = (batches.c[name] for name in ("batch_id", "partition", "slice", "position", "extracted", "stage"))
    rows = await connection.execute(
        select(*columns, batches.c.updated_at)
        .where(
            batches.c.run_id == run_id,
            IS_UNDERWAY,
            batches.c.updated_at <= now - dt.timedelta(seconds=silent_seconds),
        )
        .order_by(batches.c.updated_at)
        .limit(limit)
    )
    return [
        BatchInFlight(
            batch_id=row["batch_id"],
            partition=row["partition"],
            slice=row["slice"],
            position=row["position"],
            records=row["extracted"],
            waits_for=waits_for(Stage(row["stage"])),
            silent_seconds=(now - row["updated_at"]).total_seconds(),
            asked_again_after_seconds=limits[Stage(row["stage"]).next or Stage.LOAD],
        )
        for row in rows.mappings()
    ]


def waits_for(done: Stage) -> str:
    """Return what a batch in flight waits for whose last fact came from the stage `done`."""
    return done.next.value if done.next else _QUARANTINE


async def number_in_flight(connection: AsyncConnection, run_id: str) -> Mapping[Stage, int]:
    """Return batches in flight by the stage that is to come. Those that wait for the quarantine count with `load`."""
    rows = await connection.execute(
        select(batches.c.stage, func.count()).where(batches.c.run_id == run_id, IS_UNDERWAY).group_by(batches.c.stage)
    )
    counts: dict[Stage, int] = {}
    for stage, number in rows:
        coming = Stage(stage).next or Stage.LOAD
        counts[coming] = counts.get(coming, 0) + number
    return counts


def records_per_second(now: dt.datetime, run: Run) -> float:
    """Return the records of a run per second whose batch ended in the last minute; 0 where it is not running."""
    if run.status != run_rows.RUNNING:
        return 0.0
    return running_totals.records_per_second(run.totals, (now - run.started_at).total_seconds(), now)
