"""Runs as their operators ask for them: read from run state and the quarantine's table, nothing changed.

Rows are plain dicts, ready for JSON; times are aware."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, case, func, select

from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.accounting.batches import DONE, UNDERWAY
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables import batches, pipeline_runs, quarantined
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import slices, stalls
from loom_coordinator.lifecycle.run_progress import progress

LATELY_SECONDS = 60.0
"""Rates are over so long: steady to look at, and quick enough to follow a change."""


async def run_row(unit: UnitOfWork, run_id: str) -> Run:
    """The run as it stands now. Raises `ConfigurationError` where there is no such run."""
    if (run := await run_rows.find(unit.connection, run_id)) is None:
        raise ConfigurationError(f"There is no run {run_id}: `loom-coordinator runs` lists them.")
    return run


async def listing(
    unit: UnitOfWork, statuses: Collection[str], pipeline: str | None, limit: int
) -> list[dict[str, Any]]:
    """Runs, newest first; all statuses where none is named."""
    statement = select(pipeline_runs).order_by(pipeline_runs.c.started_at.desc()).limit(limit)
    if statuses:
        statement = statement.where(pipeline_runs.c.status.in_(statuses))
    if pipeline is not None:
        statement = statement.where(pipeline_runs.c.pipeline_name == pipeline)
    rows = (await unit.connection.execute(statement)).mappings().all()
    return [await _listed(unit, Run.of(row)) for row in rows]


async def _listed(unit: UnitOfWork, run: Run) -> dict[str, Any]:
    ended = run.completed_at is not None
    tally = await tallies.of_run(unit.connection, run)
    return {
        **{name: getattr(run, name) for name in ("run_id", "pipeline_name", "pipeline_version", "status", "priority")},
        "started_at": run.started_at,
        "seconds": run.duration_seconds if ended else (unit.now - run.started_at).total_seconds(),
        "extracted": tally.extracted,
        "ended": tally.ended,
        "loaded": tally.loaded,
        "kept": tally.kept,
        "cost": tally.cost_transform + tally.cost_evaluate,
        "requested_by": run.requested_by,
        "notice": run.error_message or run.notice,
    }


async def details(unit: UnitOfWork, run_id: str) -> dict[str, Any]:
    """One run: its stages, its batches in flight, how fast it goes and when it will be done, what went wrong last."""
    run = await run_row(unit, run_id)
    told = await progress(unit, run)
    shown = await tallies.of_run(unit.connection, run)
    rate = await lately(unit, run)
    remaining = told.tally.underway if told.total is not None else None
    waiting = {} if run.status in run_rows.TERMINAL else await in_flight(unit, run_id)
    return {
        **await _listed(unit, run),
        **{
            name: getattr(run, name)
            for name in ("model", "prompt_version", "destination", "epoch", "replay_of", "deadline")
        },
        "stages": [
            {"stage": stage.value, **worked.model_dump(), "batches_waiting": waiting.get(stage, 0)}
            for stage, worked in told.stages.items()
        ],
        "batches": {"done": await _done(unit, run_id), "in_flight": sum(waiting.values())},
        "credit_window": (await slices.windows(unit)).get(run_id) if run.status == run_rows.RUNNING else None,
        "records": shown.model_dump(include={"extracted", "loaded", "staged", *_KEPT, "cancelled"}),
        "records_per_second": rate,
        "remaining": remaining,
        "eta_seconds": remaining / rate if remaining is not None and rate else None,
        "cost_by_stage": {"transform": told.tally.cost_transform, "evaluate": told.tally.cost_evaluate},
        "calls": {"made": told.tally.calls_made, "from_cache": told.tally.calls_from_cache},
        "last_kept": await _last_kept(unit, run_id),
    }


_KEPT = ("rejected", "skipped", "quarantined")


async def lately(unit: UnitOfWork, run: Run) -> float:
    """Records of a run per second that came to their end in the last minute; 0 where it is not running."""
    if run.status != run_rows.RUNNING:
        return 0.0
    seconds: float = min(LATELY_SECONDS, max(1.0, (unit.now - run.started_at).total_seconds()))
    counted = select(func.coalesce(func.sum(batches.c.extracted), 0)).where(
        batches.c.run_id == run.run_id,
        batches.c.state == DONE,
        batches.c.updated_at >= unit.now - dt.timedelta(seconds=seconds),
    )
    return int((await unit.connection.execute(counted)).scalar_one()) / seconds


async def in_flight(unit: UnitOfWork, run_id: str) -> dict[Stage, int]:
    """Batches by the stage that is to come for them; with `load`, also those whose kept records are being written."""
    rows = await unit.connection.execute(
        select(batches.c.stage, func.count())
        .where(batches.c.run_id == run_id, batches.c.state == UNDERWAY)
        .group_by(batches.c.stage)
    )
    counts: dict[Stage, int] = {}
    for stage, number in rows:
        coming = Stage(stage).next or Stage.LOAD
        counts[coming] = counts.get(coming, 0) + number
    return counts


async def waiting_batches(unit: UnitOfWork, run_id: str, silent: float, limit: int) -> list[dict[str, Any]]:
    """Batches in flight of which nothing was heard for `silent` seconds, the longest first."""
    run = await run_row(unit, run_id)
    limits = stalls.limits_of(run)
    rows = await unit.connection.execute(
        select(batches)
        .where(
            batches.c.run_id == run_id,
            batches.c.state == UNDERWAY,
            batches.c.updated_at <= unit.now - dt.timedelta(seconds=silent),
        )
        .order_by(batches.c.updated_at)
        .limit(limit)
    )
    return [_waiting(row, unit.now, limits) for row in rows.mappings()]


def _waiting(row: RowMapping, now: dt.datetime, limits: dict[Stage, float]) -> dict[str, Any]:
    coming = Stage(row["stage"]).next
    return {
        **{name: row[name] for name in ("batch_id", "partition", "slice", "position")},
        "records": row["extracted"],
        "waits_for": coming.value if coming else "quarantine",
        "silent_seconds": (now - row["updated_at"]).total_seconds(),
        "asked_again_after_seconds": limits[coming or Stage.LOAD],
    }


async def quarantine_counts(unit: UnitOfWork, pipeline: str | None, run_id: str | None) -> list[dict[str, Any]]:
    """What was kept back, counted by pipeline, stage, code and outcome; the most first."""
    keys = (quarantined.c.pipeline_name, quarantined.c.failure_stage, quarantined.c.code, quarantined.c.outcome)
    records = func.count().label("records")
    unresolved = func.sum(case((quarantined.c.resolved.is_(True), 0), else_=1)).label("unresolved")
    newest = func.max(quarantined.c.quarantined_at).label("newest")
    chosen: list[ColumnElement[bool]] = []
    if pipeline is not None:
        chosen.append(quarantined.c.pipeline_name == pipeline)
    if run_id is not None:
        chosen.append(quarantined.c.run_id == run_id)
    statement = select(*keys, records, unresolved, newest).where(*chosen).group_by(*keys)
    rows = await unit.connection.execute(statement.order_by(records.desc(), *keys))
    return [dict(row) for row in rows.mappings()]


async def _done(unit: UnitOfWork, run_id: str) -> int:
    counted = select(func.count()).where(batches.c.run_id == run_id, batches.c.state == DONE)
    return int((await unit.connection.execute(counted)).scalar_one())


async def _last_kept(unit: UnitOfWork, run_id: str) -> list[dict[str, Any]]:
    names = ("quarantined_at", "failure_stage", "code", "outcome", "record_id", "failure_reason")
    rows = await unit.connection.execute(
        select(*(quarantined.c[name] for name in names))
        .where(quarantined.c.run_id == run_id)
        .order_by(quarantined.c.quarantined_at.desc())
        .limit(5)
    )
    return [dict(row) for row in rows.mappings()]
