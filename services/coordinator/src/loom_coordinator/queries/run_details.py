"""Runs as their operators ask for them: how far each is, how fast it goes, and what holds it up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import run_windows
from loom_coordinator.lifecycle import partitions
from loom_coordinator.lifecycle.run_progress import progress
from loom_coordinator.queries import batches, runs
from loom_coordinator.queries.records import KeptRecord, last_kept

_ENDS = (
    "extracted", "derived", "unnested", "grouped", "filtered", "rejected", "skipped", "quarantined", "loaded", "staged",
    "cancelled",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunLine(Shown):
    """Describes a run on one line."""

    run_id: str
    pipeline_name: str
    pipeline_version: str
    status: str
    priority: int
    """A number from 1 to 10."""
    started_at: dt.datetime
    seconds: float
    """How long it took, or has been running."""
    extracted: int
    """Records; so are the next three."""
    ended: int
    """Counts the records that came to one of the five ends."""
    loaded: int
    kept: int
    """Counts the records that were rejected, skipped or quarantined."""
    cost: float
    """Holds the cost in USD."""
    requested_by: str | None
    notice: str | None
    """Says why it failed, or what holds it up."""


@dataclass(frozen=True, slots=True)
class StageLine(Shown):
    """Describes one stage of a run."""

    stage: str
    records_in: int
    records_out: int
    seconds: float
    """Time that its replicas spent working, added up."""
    batches_waiting: int
    """The number of batches in flight that wait for it."""


@dataclass(frozen=True, slots=True)
class PartitionLine(Shown):
    """Says into how many pieces a run's source is split, and how many of them are read to their end."""

    total: int
    read: int


@dataclass(frozen=True, slots=True)
class BatchCounts(Shown):
    """Says how many batches of a run have ended, and how many have not."""

    done: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class CallCounts(Shown):
    """Counts model calls of a run."""

    made: int
    from_cache: int
    """Answers taken from the journal."""


@dataclass(frozen=True, slots=True)
class RunDetails(Shown):
    """Describes one run with everything that says how it goes."""

    line: RunLine
    model: str | None
    prompt_version: str | None
    destination: str
    epoch: int
    replay_of: str | None
    deadline: dt.datetime | None
    stages: Sequence[StageLine]
    partitions: PartitionLine
    batches: BatchCounts
    credit_window: int | None
    """The number of batches that may be in flight; None for a run that is not running."""
    records: Mapping[str, int]
    """Records by what became of them."""
    records_per_second: float
    """The mean over the last minute."""
    remaining: int | None
    """The number of records that have not ended; None until the source is read to its end."""
    eta_seconds: float | None
    """The number of seconds until it is done if it goes on as in the last minute."""
    cost_by_stage: Mapping[str, float]
    """Holds the cost in USD."""
    calls: CallCounts
    last_kept: Sequence[KeptRecord]
    """Holds the records that were kept back last, the newest first."""

    def as_json(self) -> dict[str, Any]:
        """Write the fields of the line, and these beside them."""
        fields = Shown.as_json(self)
        return {**fields.pop("line"), **fields}


async def listing(
    connection: AsyncConnection, now: dt.datetime, statuses: Collection[str], pipeline: str | None, limit: int
) -> list[RunLine]:
    """The newest runs, the newest first; of every status where `statuses` is empty."""
    statement = run_rows.RUNS.order_by(pipeline_runs.c.started_at.desc()).limit(limit)
    if statuses:
        statement = statement.where(pipeline_runs.c.status.in_(statuses))
    if pipeline is not None:
        statement = statement.where(pipeline_runs.c.pipeline_name == pipeline)
    found = [Run.of(row) for row in (await connection.execute(statement)).mappings()]
    return [_line(now, run) for run in found]


async def details(connection: AsyncConnection, now: dt.datetime, run_id: str) -> RunDetails:
    """Tell how one run goes. Raises `NotFound` where there is no such run."""
    return await of_run(connection, now, await runs.find(connection, run_id))


async def of_run(connection: AsyncConnection, now: dt.datetime, run: Run) -> RunDetails:
    """Tell the same of a run as it was read just now."""
    run_id = run.run_id
    unit = UnitOfWork(connection, now, None)
    told = await progress(unit, run)
    tally = tallies.of_run(run)
    rate = batches.records_per_second(now, run)
    remaining = told.tally.underway if told.total is not None else None
    pieces = await partitions.count(connection, run_id)
    ended = run.status in run_rows.TERMINAL
    waiting = {} if ended else await batches.number_in_flight(connection, run_id)
    return RunDetails(
        line=_line(now, run),
        model=run.model,
        prompt_version=run.prompt_version,
        destination=run.destination,
        epoch=run.epoch,
        replay_of=run.replay_of,
        deadline=run.deadline,
        stages=[
            StageLine(stage.value, worked.records_in, worked.records_out, worked.seconds, waiting.get(stage, 0))
            for stage, worked in told.stages.items()
        ],
        partitions=PartitionLine(pieces.total, pieces.read),
        batches=BatchCounts(run.totals.done, sum(waiting.values())),
        credit_window=(await run_windows.shared(unit)).get(run_id) if run.status == run_rows.RUNNING else None,
        records=tally.model_dump(include=set(_ENDS)),
        records_per_second=rate,
        remaining=remaining,
        eta_seconds=remaining / rate if remaining is not None and rate else None,
        cost_by_stage={"transform": told.tally.cost_transform, "evaluate": told.tally.cost_evaluate},
        calls=CallCounts(told.tally.calls_made, told.tally.calls_from_cache),
        last_kept=await last_kept(connection, run_id),
    )


def _line(now: dt.datetime, run: Run) -> RunLine:
    tally = tallies.of_run(run)
    took = run.duration_seconds if run.completed_at is not None else None
    return RunLine(
        run_id=run.run_id,
        pipeline_name=run.pipeline_name,
        pipeline_version=run.pipeline_version,
        status=run.status,
        priority=run.priority,
        started_at=run.started_at,
        seconds=(now - run.started_at).total_seconds() if took is None else took,
        extracted=tally.extracted,
        ended=tally.ended,
        loaded=tally.loaded,
        kept=tally.kept,
        cost=tally.cost_transform + tally.cost_evaluate,
        requested_by=run.requested_by,
        notice=run.error_message or run.notice,
    )
