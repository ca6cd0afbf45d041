"""How many failed records a stage takes before the run is ended, counted from where it was resumed last.

A run that nothing failed in is not counted. From the first failure on its row holds the counts (`counted`), and each
group of facts adds what it changed, so that the batches are added up once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, case, func, select

from loom_common.domain.run.tally import Tally
from loom_common.domain.values import plural
from loom_common.domain.values.per_record import per_record
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.work import batches
from loom_coordinator.db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from loom_common.domain.definition.failures.recovery import Recovery
    from loom_common.domain.definition.pipeline import Pipeline

LEAST_RECORDS = 20
"""Records that have been through a stage before its rate of failures says anything."""


@per_record
class Count:
    """Counts records that have been through a stage, and those of them that failed there. A rejected record did not
    fail."""

    seen: int
    failed: int

    def __sub__(self, before: Count) -> Count:
        return Count(self.seen - before.seen, self.failed - before.failed)

    def __add__(self, more: Count) -> Count:
        return Count(self.seen + more.seen, self.failed + more.failed)


NONE = Count(0, 0)
_UP_TO = {stage: tuple(Stage)[: place + 1] for place, stage in enumerate(Stage)}
"""Each stage with those before it."""


def exceeded(limits: Mapping[Stage, Recovery], counted: Mapping[Stage, Count]) -> str | None:
    """Say in words which limit was passed; return None where none was."""
    for stage, limit in limits.items():
        count = counted.get(stage, NONE)
        if limit.max_failures is not None and count.failed > limit.max_failures:
            return f"{stage}: {plural.counted(count.failed, 'record')} failed; max_failures is {limit.max_failures}"
        rate = count.failed / count.seen if count.seen >= LEAST_RECORDS else 0.0
        if limit.max_failure_rate is not None and rate > limit.max_failure_rate:
            return (
                f"{stage}: {count.failed} of {plural.counted(count.seen, 'record')} failed ({rate:.1%}); "
                f"max_failure_rate is {limit.max_failure_rate:.1%}"
            )
    return None


def limits_of(pipeline: Pipeline, *, replay: bool = False) -> dict[Stage, Recovery]:
    """Return the limits of every stage. A replay takes up records that failed before, so the default rate does not hold
    there: it has the limits that its pipeline names."""
    sections: dict[Stage, Recovery | None] = {
        Stage.EXTRACT: pipeline.extract,
        Stage.TRANSFORM: pipeline.transform,
        Stage.EVALUATE: pipeline.evaluate,
        Stage.LOAD: pipeline.load,
    }
    return {stage: _limits(section, replay=replay) for stage, section in sections.items() if section is not None}


def _limits(section: Recovery, *, replay: bool) -> Recovery:
    if replay and "max_failure_rate" not in section.model_fields_set:
        return section.model_copy(update={"max_failure_rate": None})
    return section


async def passed(unit: UnitOfWork, run: Run, more: Mapping[Stage, Count]) -> str | None:
    """The limit that the run has passed, in words, after `more` was counted; None where it is within its limits."""
    counted = of_json(run.counted)
    if counted is None:
        if not any(count.failed for count in more.values()):
            return None
        counted = await counts(unit, run.run_id)  # the facts of `more` are among the batches already
    else:
        counted = {stage: counted.get(stage, NONE) + more.get(stage, NONE) for stage in Stage}
    await run_rows.change(unit, run.run_id, counted=as_json(counted))
    before = of_json(run.counted_before) or {}
    limits = limits_of(tallies.definition(run), replay=run.replay_of is not None)
    return exceeded(limits, since(before, counted))


async def so_far(unit: UnitOfWork, run: Run) -> dict[str, list[int]] | None:
    """Return what a run that is resumed has counted, read from its batches: it is within its limits again. None where
    nothing failed in it."""
    counted = await counts(unit, run.run_id)
    return as_json(counted) if any(count.failed for count in counted.values()) else None


def as_json(counted: Mapping[Stage, Count]) -> dict[str, list[int]]:
    """Write the counts of each stage for a run's row."""
    return {stage.value: [count.seen, count.failed] for stage, count in counted.items()}


def of_json(stored: Mapping[str, Any] | None) -> dict[Stage, Count] | None:
    """Read what `as_json` gave."""
    return None if stored is None else {Stage(stage): Count(*pair) for stage, pair in stored.items()}


def since(before: Mapping[Stage, Count], counted: Mapping[Stage, Count]) -> dict[Stage, Count]:
    """Return what was counted after `before`."""
    return {stage: count - before.get(stage, NONE) for stage, count in counted.items()}


def of_batch(stage: Stage, tally: Tally, unread: int) -> dict[Stage, Count]:
    """Return what one batch counts for, by the last stage that is done with it. A batch whose slice has not told of it
    yet (`unread` is -1) counts for nothing: what its extraction kept back cannot be told from what its transform
    did."""
    if unread < 0:
        return {}
    read = tally.extracted - unread
    taken = read + tally.derived - tally.unnested
    every = (
        Count(tally.extracted, unread),
        Count(taken, taken - tally.filtered - tally.grouped - tally.transformed),
        Count(tally.transformed, tally.transformed - tally.passed - tally.rejected),
        Count(tally.passed, tally.passed - tally.loaded),
    )
    return dict(zip(_UP_TO[stage], every, strict=False))


async def counts(unit: UnitOfWork, run_id: str) -> dict[Stage, Count]:
    """Count per stage, from the tallies of all batches that are done with it: the sum of what `of_batch` says of
    each."""
    columns = batches.c
    taken = columns.extracted - columns.unread + columns.derived - columns.unnested
    pairs: dict[Stage, tuple[ColumnElement[int], ColumnElement[int]]] = {
        Stage.EXTRACT: (columns.extracted, columns.unread),
        Stage.TRANSFORM: (taken, taken - columns.filtered - columns.grouped - columns.transformed),
        Stage.EVALUATE: (columns.transformed, columns.transformed - columns.passed - columns.rejected),
        Stage.LOAD: (columns.passed, columns.passed - columns.loaded),
    }
    order = list(Stage)
    sums = [
        func.coalesce(func.sum(case((columns.stage.in_(order[place:]), value), else_=0)), 0)
        for place, stage in enumerate(order)
        for value in pairs[stage]
    ]
    query = select(*sums).where(columns.run_id == run_id, columns.unread >= 0)
    row = (await unit.connection.execute(query)).one()
    return {stage: Count(int(row[2 * place]), int(row[2 * place + 1])) for place, stage in enumerate(order)}
