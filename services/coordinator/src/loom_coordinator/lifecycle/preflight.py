"""Has the source and the destination of a run looked at before anything of it is paid for.

Only an extractor reaches a source, and only a loader a destination. So each is asked once, at the begin of a run on a
cluster, and no slice is asked for before both have answered. The questions stand among the slices, as the one how
a source is split does, so that they are asked again as slices are. An embedded run was looked at by whoever asked for
it, and a replay writes where its run wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, update

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    CheckDestination,
    CheckSource,
    DestinationChecked,
    Preflight,
    PreflightCheck,
    PreflightColumn,
    SourceChecked,
)
from loom_common.domain.checks.columns import with_fits
from loom_common.domain.checks.passed_on import missing_columns, passed_on, with_passed_on
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.fields import ColumnFit, Fields
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.slice_rows import EXTRACTED, ISSUED
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import slices
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import partitions

CHECKING_SOURCE = -2
"""The number that the question about the source has among the slices of partition 0."""
CHECKING_DESTINATION = -3
"""The number that the question about the destination has among the slices of partition 0."""
_BOTH = (CHECKING_SOURCE, CHECKING_DESTINATION)
_AWAITED = "awaited"
"""Names the answer that is missing, in a preflight of which one is there."""
_SAME_FIELDS = "same_fields"
"""Tells, in one of which the source's is there, whether all of its records have the same fields."""

Answer = SourceChecked | DestinationChecked


def is_wanted(plan: Plan, *, embedded: bool) -> bool:
    """Tell whether the services look before the run begins. Pure."""
    return not embedded and plan.replay is None


async def ask(unit: UnitOfWork, run: Run) -> None:
    """Ask an extractor and a loader at the same time. Where the source may be split, the extractor is asked for that,
    too: it is one way to it instead of two."""
    rows = [
        {
            "run_id": run.run_id,
            "partition": 0,
            "slice": number,
            "max_batches": 0,
            "state": ISSUED,
            "issued_at": unit.now,
        }
        for number in _BOTH
    ]
    await unit.connection.execute(slices.insert(), rows)
    for number in _BOTH:
        await ask_again(unit, run, number)


async def ask_again(unit: UnitOfWork, run: Run, number: int) -> None:
    """Ask one of the questions, as it was asked before."""
    about = {"run_id": run.run_id, "pipeline": run.pipeline_name, "plan": run.plan, "epoch": run.epoch}
    if number == CHECKING_SOURCE:
        split = await partitions.held(unit, run)
        unit.send(Outgoing(flow.work(Stage.EXTRACT, run.pipeline_name), CheckSource(**about, **split)))
    else:
        unit.send(Outgoing(flow.work(Stage.LOAD, run.pipeline_name), CheckDestination(**about)))


async def answered(unit: UnitOfWork, run: Run, fact: Answer) -> None:
    """Keep an answer. The first to the newest question counts."""
    number = CHECKING_SOURCE if isinstance(fact, SourceChecked) else CHECKING_DESTINATION
    if fact.epoch != run.epoch:
        return
    changed = await unit.connection.execute(
        update(slices)
        .where(slices.c.run_id == run.run_id, slices.c.slice == number, slices.c.state == ISSUED)
        .values(state=EXTRACTED)
    )
    if not changed.rowcount:
        return
    stored = select(pipeline_runs.c.preflight).where(pipeline_runs.c.run_id == run.run_id)
    before = (await unit.connection.execute(stored)).scalar_one()
    await run_rows.change(unit, run.run_id, preflight=joined(before, fact, lambda: tallies.definition(run)))


async def settle(unit: UnitOfWork, run: Run) -> str | None:
    """Once both have answered, return what stands in the way of the run, and have a resume ask both again. Where
    nothing does, ask how the source is split unless that is known, and return None."""
    mine = (slices.c.run_id == run.run_id, slices.c.slice.in_(_BOTH))
    waiting = await unit.connection.execute(select(func.count()).where(*mine, slices.c.state == ISSUED))
    if waiting.scalar_one():
        return None
    stored = select(pipeline_runs.c.preflight).where(pipeline_runs.c.run_id == run.run_id)
    if words := in_the_way((await unit.connection.execute(stored)).scalar_one()):
        await unit.connection.execute(update(slices).where(*mine).values(state=ISSUED))
        await partitions.forget(unit, run.run_id)
        return "\n".join(words)
    await partitions.ask_held(unit, run)
    return None


def joined(before: Mapping[str, Any] | None, fact: Answer, pipeline: Callable[[], Pipeline]) -> dict[str, Any]:
    """Return the preflight with one more answer, whichever is the first: what was found of the source stands before
    what was found of the destination. What only both of them show of the run's `pipeline` is added to the second.
    Pure."""
    mine = Preflight(checks=fact.checks, columns=fact.columns)
    of_source = isinstance(fact, SourceChecked)
    if before is None or before.get(_AWAITED) != ("source" if of_source else "destination"):
        kept = {**mine.model_dump(mode="json"), _AWAITED: "destination" if of_source else "source"}
        return {**kept, _SAME_FIELDS: fact.same_fields} if isinstance(fact, SourceChecked) else kept
    other = Preflight.model_validate({name: before[name] for name in ("checks", "columns")})
    source, destination = (mine, other) if of_source else (other, mine)
    certain = fact.same_fields if isinstance(fact, SourceChecked) else bool(before.get(_SAME_FIELDS))
    return _both(source, destination, pipeline(), certain=certain).model_dump(mode="json")


def _both(source: Preflight, destination: Preflight, pipeline: Pipeline, *, certain: bool) -> Preflight:
    names = tuple(column.column for column in source.columns if column.origin == "source and output")
    fields = Fields(names, certain) if names else None
    there = [_fit(column) for column in destination.columns]
    missing = missing_columns(pipeline, fields, there)
    columns = destination.columns
    if passed_on(pipeline, fields) is not None:
        columns = tuple(map(PreflightColumn.of, with_fits((), with_passed_on(pipeline, fields, there))))
    return Preflight(
        checks=(*source.checks, *destination.checks, *([] if missing is None else [PreflightCheck.of(missing)])),
        columns=tuple(_fitted(source.columns, columns)),
    )


def _fit(column: PreflightColumn) -> ColumnFit:
    return ColumnFit(column.column, column.written, column.there, column.done, column.fits)


def in_the_way(preflight: Mapping[str, Any]) -> list[str]:
    """Return what stands in the way of a run, in words, each once though source and destination may say the same.
    Pure."""
    words = (check["detail"] for check in preflight["checks"] if not check["ok"] and not check["doubtful"])
    return list(dict.fromkeys(words))


def _fitted(source: Sequence[PreflightColumn], destination: Sequence[PreflightColumn]) -> list[PreflightColumn]:
    """Return the columns of the source and the output, with how those of the destination fit, and its other ones."""
    there = {column.column: column for column in destination}
    known = {column.column for column in source}
    of_destination = ("written", "there", "done", "fits")
    return [
        *(
            column.model_copy(update={name: getattr(there[column.column], name) for name in of_destination})
            if column.column in there
            else column
            for column in source
        ),
        *(column for column in destination if column.column not in known),
    ]
