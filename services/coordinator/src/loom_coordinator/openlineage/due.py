"""Decides which event of a run is due, and takes runs whose event is, so that one process tells it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, or_, select, update

from loom_coordinator.db import run_rows
from loom_coordinator.db.tables.monitoring import openlineage_told
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.openlineage.run_event import ABORT, COMPLETE, ENDS, FAIL, RUNNING, START

RUNNING_SECONDS = 60.0
"""Says how often a run that goes on is told of."""
ATTEMPTS = 5
AT_ONCE = 20
_FIRST_DELAY = dt.timedelta(seconds=5)
_OLDEST = dt.timedelta(hours=1)
_OVER = (COMPLETE, FAIL, ABORT)


@dataclass(frozen=True, slots=True)
class Due:
    """Names an event that is to be told now."""

    run_id: str
    event: str
    attempt: int
    """Is 1 for the first time that it is tried."""


def due_event(status: str, told: str | None, since: dt.timedelta, *, complete: bool) -> str | None:
    """Return the event of a run that is due: of its `status`, after the event that was `told` last and the time
    `since`. `complete` tells whether its report holds all that there will be. None where nothing is due. Pure."""
    if told is None:
        return START
    if status in ENDS:
        return None if told in _OVER or not complete else ENDS[status]
    if told in _OVER:
        return RUNNING  # it was resumed
    return RUNNING if status == run_rows.RUNNING and since.total_seconds() >= RUNNING_SECONDS else None


def later(attempt: int, now: dt.datetime) -> dt.datetime | None:
    """Return when an event that could not be told is tried again; None where it is given up. Pure."""
    return None if attempt >= ATTEMPTS else now + _FIRST_DELAY * 2 ** (attempt - 1)


async def take(unit: UnitOfWork, begun: dt.datetime, busy: dt.timedelta, *, last: bool) -> list[Due]:
    """Take events that are due, each for the time that telling it may take (`busy`). Should this process die, they are
    due again. Runs that ended long before this process had `begun` are left. `last`: also those that wait to be tried
    again, because there is no later."""
    ids = list((await unit.connection.execute(_candidates(unit.now, begun))).scalars())
    if not ids:
        return []
    fresh = [{"run_id": each, "told_at": unit.now, "due": unit.now, "attempts": 0} for each in ids]
    await unit.connection.execute(unit.insert(openlineage_told).values(fresh).on_conflict_do_nothing())
    rows = await unit.connection.execute(
        select(openlineage_told, pipeline_runs.c.status, pipeline_runs.c.tell_by)
        .join(pipeline_runs, pipeline_runs.c.run_id == openlineage_told.c.run_id)
        .where(openlineage_told.c.run_id.in_(ids), *(() if last else (openlineage_told.c.due <= unit.now,)))
        .with_for_update(skip_locked=True, of=openlineage_told)
    )
    found = []
    for row in rows.mappings():
        since = unit.now - row["told_at"]
        event = due_event(row["status"], row["event"], since, complete=row["tell_by"] is None)
        if event is not None:
            found.append(Due(row["run_id"], event, row["attempts"] + 1))
    for each in found:
        await _change(unit, each.run_id, attempts=each.attempt, due=unit.now + busy)
    return found


async def told(unit: UnitOfWork, due: Due, trouble: str | None) -> None:
    """Note that an event was told, or what the `trouble` was. After five attempts it is given up, and the next one may
    be told."""
    again = None if trouble is None else later(due.attempt, unit.now)
    if again is not None:
        await _change(unit, due.run_id, due=again, error=trouble)
    else:
        done = {"event": due.event, "told_at": unit.now, "due": unit.now, "attempts": 0, "error": trouble}
        await _change(unit, due.run_id, **done)


def _candidates(now: dt.datetime, begun: dt.datetime) -> Select[tuple[str]]:
    """Return a query of runs of which something may have to be told."""
    runs, seen = pipeline_runs.c, openlineage_told.c
    on = pipeline_runs.outerjoin(openlineage_told, seen.run_id == runs.run_id)
    stale = seen.told_at <= now - dt.timedelta(seconds=RUNNING_SECONDS)
    goes_on = and_(runs.status.not_in(ENDS), or_(seen.event.is_(None), seen.event.in_(_OVER), stale))
    unseen = and_(runs.started_at >= begun - _OLDEST, seen.event.is_(None))
    ended = and_(seen.event.in_((START, RUNNING)), runs.status.in_(ENDS), runs.tell_by.is_(None))
    return select(runs.run_id).select_from(on).where(or_(goes_on, unseen, ended)).limit(AT_ONCE)


async def _change(unit: UnitOfWork, run_id: str, **values: Any) -> None:
    await unit.connection.execute(update(openlineage_told).where(openlineage_told.c.run_id == run_id).values(**values))
