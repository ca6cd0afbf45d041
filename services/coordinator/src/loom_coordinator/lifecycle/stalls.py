"""Finds batches that nobody speaks of any more: lost with the broker, or with a worker that hangs.

A batch that waits its turn is not lost. So a stage is stalled when it has told nothing of the whole run for its
timeout, although batches wait for it; a batch lost alone is noticed when the others are through."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select

from loom_common.domain.definition.failures.timeouts import Timeouts
from loom_common.domain.model_options.execution import ExecutionConfig
from loom_common.domain.section import said
from loom_common.domain.values.durations import seconds
from loom_common.flow import Stage
from loom_coordinator.accounting.batches import IS_UNDERWAY
from loom_coordinator.db.run import Run
from loom_coordinator.db.slice_rows import IS_ISSUED
from loom_coordinator.db.tables.work import batches, slices
from loom_coordinator.db.unit_of_work import UnitOfWork

IN_BATCHES = "7d"
"""The limit of a run with `execution: batch` that sets none. Each batch may take a day."""
_ORDER = list(Stage)
_WAITING = (
    select(batches.c.stage, func.min(batches.c.updated_at))
    .where(batches.c.run_id == bindparam("run_id"), IS_UNDERWAY)
    .group_by(batches.c.stage)
)
_ASKED = select(func.min(slices.c.issued_at)).where(slices.c.run_id == bindparam("run_id"), IS_ISSUED)


@dataclass(frozen=True, slots=True)
class Heard:
    """Describes the batches whose last fact came from one stage."""

    waiting_since: dt.datetime | None
    """Says when the longest unfinished one was heard of last."""
    last: dt.datetime
    """Says when any of them was heard of last."""


def stalled(
    heard: Mapping[Stage, Heard], slice_asked: dt.datetime | None, limits: Mapping[Stage, float], now: dt.datetime
) -> Stage | None:
    """Return the first stage that owes a fact for longer than its limit, in seconds. `slice_asked` is when the longest
    unanswered slice was asked for. Pure."""

    def over(since: dt.datetime, stage: Stage) -> bool:
        return (now - since).total_seconds() > limits[stage]

    if slice_asked is not None and over(slice_asked, Stage.EXTRACT):
        return Stage.EXTRACT
    for place, stage in enumerate(_ORDER):
        waiting = heard[stage].waiting_since if stage in heard else None
        if waiting is None:
            continue
        owing = stage.next or stage  # what was loaded and is not done waits for the quarantine to confirm the rest
        news = [heard[each].last for each in _ORDER[place + 1 :] if each in heard]
        if over(max([waiting, *news]), owing):
            return owing
    return None


def limits_of(run: Run) -> dict[Stage, float]:
    """Return the seconds per stage."""
    timeouts = timeouts_of(run)
    return {stage: seconds(getattr(timeouts, stage.value)) for stage in Stage}


def timeouts_of(run: Run) -> Timeouts:
    """Return the timeouts that the run's definition sets."""
    return timeouts_in(run.definition)


def timeouts_in(definition: Mapping[str, Any]) -> Timeouts:
    """Return the timeouts that a definition sets. Where records wait for batches of a model provider, a stage may be
    silent for as long as those may take, and the run has `IN_BATCHES` unless the definition says something else."""
    written = definition.get("timeouts") or {}
    limits = Timeouts.model_validate(written)
    waits = {stage: wait for stage in ("transform", "evaluate") if (wait := _batch_seconds(definition.get(stage)))}
    if not waits:
        return limits
    longer = {stage: f"{seconds(getattr(limits, stage)) + wait:g}s" for stage, wait in waits.items()}
    return limits.model_copy(update=longer | ({} if "run" in written else {"run": IN_BATCHES}))


def _batch_seconds(section: Any) -> float | None:
    """Return how long a batch of a section as written may take; None where it asks no batches."""
    execution = said(section, "execution")
    return None if execution is None else ExecutionConfig.model_validate(execution).batch_deadline


async def look(unit: UnitOfWork, run: Run) -> Stage | None:
    """Return the stage at which the run is stalled; None where it moves."""
    waiting = await unit.connection.execute(_WAITING, {"run_id": run.run_id})
    since = {Stage(stage): at for stage, at in waiting}
    heard = {stage: Heard(since.get(stage), last) for stage, last in run.totals.heard.items()}
    asked = (await unit.connection.execute(_ASKED, {"run_id": run.run_id})).scalar_one()
    return stalled(heard, asked, limits_of(run), unit.now)
