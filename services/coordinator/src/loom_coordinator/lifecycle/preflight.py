"""Has the source and the destination of a run looked at before anything of it is paid for.

Only an extractor reaches a source, and only a loader a destination. So each is asked once, at the begin of a run on a
cluster, and no slice is asked for before both have answered. The questions stand among the slices, as the one how
a source is split does, so that they are asked again as slices are. An embedded run was looked at by whoever asked for
it, and a replay writes where its run wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, update

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
from loom_coordinator.db import run_rows, slice_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.slice_rows import EXTRACTED, HELD, ISSUED
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

_ANSWERED = (
    update(slices)
    .where(slices.c.run_id == bindparam("run"), slices.c.slice == bindparam("number"), slices.c.state == ISSUED)
    .values(state=EXTRACTED)
)

Answer = SourceChecked | DestinationChecked


def is_wanted(plan: Plan, *, embedded: bool) -> bool:
    """Tell whether the services look before the run begins. Pure."""
    return not embedded and plan.replay is None


async def ask(unit: UnitOfWork, run: Run, *, splits: bool = False) -> None:
    """Ask an extractor and a loader at the same time. Where the source `splits`, the extractor is asked into which
    pieces, too: it is one way to it instead of two."""
    held = {partitions.SPLITTING: HELD} if splits else {}
    await slice_rows.enter_questions(unit, run.run_id, {**held, **dict.fromkeys(_BOTH, ISSUED)})
    _ask_source(unit, run, partitions.with_split(run) if splits else {})
    _ask_destination(unit, run)


async def ask_again(unit: UnitOfWork, run: Run, number: int) -> None:
    """Ask one of the questions, as it was asked before."""
    if number == CHECKING_SOURCE:
        _ask_source(unit, run, await partitions.held(unit, run))
    else:
        _ask_destination(unit, run)


def _ask_source(unit: UnitOfWork, run: Run, split: Mapping[str, Any]) -> None:
    unit.send(Outgoing(flow.work(Stage.EXTRACT, run.pipeline_name), CheckSource(**_about(run), **split)))


def _ask_destination(unit: UnitOfWork, run: Run) -> None:
    unit.send(Outgoing(flow.work(Stage.LOAD, run.pipeline_name), CheckDestination(**_about(run))))


def _about(run: Run) -> dict[str, Any]:
    return {"run_id": run.run_id, "pipeline": run.pipeline_name, "plan": run.plan, "epoch": run.epoch}


async def answered(unit: UnitOfWork, run: Run, fact: Answer) -> Run | None:
    """Keep an answer, and return the run with it; None for one that does not count. The first to the newest question
    does."""
    number = CHECKING_SOURCE if isinstance(fact, SourceChecked) else CHECKING_DESTINATION
    if fact.epoch != run.epoch:
        return None
    changed = await unit.connection.execute(_ANSWERED, {"run": run.run_id, "number": number})
    if not changed.rowcount:
        return None
    found = joined(run.preflight, fact, lambda: tallies.definition(run))
    await run_rows.change(unit, run.run_id, preflight=found)
    return replace(run, preflight=found)


async def settle(unit: UnitOfWork, run: Run) -> str | None:
    """Once the last of both has answered, return what stands in the way of the run, and have a resume ask both again.
    Where nothing does, ask how the source is split unless that is known, and return None. The run is as `answered` has
    returned it."""
    assert run.preflight is not None, "one has answered"
    if _AWAITED in run.preflight:
        return None
    if words := in_the_way(run.preflight):
        mine = (slices.c.run_id == run.run_id, slices.c.slice.in_(_BOTH))
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
