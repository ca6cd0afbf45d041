"""Asks for slices under credit, takes note of their answers, and asks for them again.

The cursor in `partitions` is the checkpoint of the extraction; no extractor holds one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Boolean, Integer, bindparam, false, func, select, update

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import ExtractSlice, SliceExtracted
from loom_common.domain.run.budget import Budget, DayBudget
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.ids import canary_run_id
from loom_common.flow import Stage
from loom_coordinator.accounting import usage
from loom_coordinator.accounting.batches import IS_UNDERWAY
from loom_coordinator.db import run_totals, slice_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.slice_rows import EXTRACTED, HELD, IS_ISSUED, ISSUED, OpenPartition, SliceRow
from loom_coordinator.db.tables.work import batches, partitions, slices
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import run_windows, windows
from loom_coordinator.flow_control.windows import Awaited, ends_awaited
from loom_coordinator.lifecycle import partitions as partitions_of_runs
from loom_coordinator.lifecycle import preflight
from loom_coordinator.lifecycle.partitions import SPLITTING

_THIS_PARTITION = (partitions.c.run_id == bindparam("run"), partitions.c.partition == bindparam("part"))
_THIS_SLICE = (
    slices.c.run_id == bindparam("run"), slices.c.partition == bindparam("part"), slices.c.slice == bindparam("number")
)  # fmt: skip
_ANSWERED = update(slices).where(*_THIS_SLICE, IS_ISSUED).values(state=EXTRACTED)
_LEFT = partitions.c.remaining - bindparam("read", type_=Integer)  # it is NULL where all are wanted
_READ = (
    update(partitions)
    .where(*_THIS_PARTITION)
    .values(
        cursor=bindparam("place", type_=partitions.c.cursor.type),
        remaining=_LEFT,
        sealed=bindparam("end", type_=Boolean) | func.coalesce(_LEFT <= 0, false()),
    )
    .returning(partitions.c.sealed)
)
_SEAL = update(partitions).where(partitions.c.run_id == bindparam("run")).values(sealed=True)
"""Statements that every slice asks for, made once."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """Says how far the extraction of a run is."""

    ended: bool
    """Tells whether nothing is left to extract, and no slice is on its way."""
    awaited: Awaited | None = None
    """What has to come before the next slice is asked for; None where every answer may be followed by something."""


Count = Callable[[UnitOfWork, Run], Awaitable[int]]


async def release(
    unit: UnitOfWork, run: Run, *, beside: Count | None = None, known: Sequence[OpenPartition] | None = None
) -> Extraction:
    """Ask for the next slice of every open partition that credit allows, of those first that have been asked for least.
    One at a time per partition: only the answer tells where the next one begins. Where a version is on trial, `beside`
    tells how many batches are in flight of the run that has its share: both have one credit. Who has just begun the run
    says which partitions are `known`.

    Where records of one key stay in sequence, nothing is asked for while anything is at work: a slice has all batches
    of a key in one, and so no two batches with one key are ever under way together."""
    run_id, in_flight = run.run_id, run.totals.underway
    rate = windows.ended_per_second(run.totals.done, (unit.now - run.started_at).total_seconds())
    size = partial(windows.slice_size, batches_per_slice=run.slice_batches, per_second=rate)
    if in_flight >= run.credit_window:
        wanted = size(credit_window=run.credit_window)
        return Extraction(
            ended=False,
            awaited=Awaited(
                ends_awaited(in_flight=in_flight, outstanding=0, wanted=wanted, credit_window=run.credit_window)
            ),
        )
    places = await slice_rows.open_partitions(unit, run_id) if known is None else known
    if any(place.is_question for place in places):
        return Extraction(ended=False)
    waiting = sorted((place for place in places if place.asked is None), key=lambda each: each.released)
    outstanding = sum(place.asked or 0 for place in places)
    if not waiting:
        wanted = size(credit_window=run.credit_window, partitions=max(1, len(places)))
        following = _with_an_answer(run, outstanding, wanted, run.credit_window)
        return Extraction(ended=not places, awaited=following if places else None)
    if beside is not None and any((place.piece or {}).get("share") for place in places):
        in_flight += await beside(unit, run)
    if run.keeps_order and (in_flight or await slice_rows.holds_any(unit, canary_run_id(run_id))):
        return Extraction(ended=False, awaited=Awaited(in_flight) if in_flight else None)
    credit_window = (await run_windows.shared(unit))[run_id]
    # The first slice is young however long the run waited for the answers to its questions.
    age = (unit.now - run.started_at).total_seconds() if any(place.released for place in places) else 0.0
    if unit.owner is None and age < windows.OPENING_SECONDS and run.least_window is None:
        credit_window = min(credit_window, windows.opening_window(run.totals.done, age))
    wanted = size(credit_window=credit_window, partitions=len(places))
    if run.keeps_order:  # no second slice shares the window
        wanted = min(run.slice_batches, windows.SLOW_BATCHES, credit_window)
    budget: Budget | None = None
    for at, partition in enumerate(waiting):
        awaited = ends_awaited(in_flight=in_flight, outstanding=outstanding, wanted=wanted, credit_window=credit_window)
        if awaited:
            return Extraction(ended=False, awaited=Awaited(awaited))
        outstanding += wanted
        budget = budget if at else await budget_of(unit, run)
        asked = partition.next_one(wanted)
        await slice_rows.enter(unit, run_id, asked, ISSUED)
        _ask(unit, run, asked, budget=budget)
    return Extraction(ended=False, awaited=_with_an_answer(run, outstanding, wanted, credit_window))


def _with_an_answer(run: Run, outstanding: int, wanted: int, credit_window: int) -> Awaited | None:
    """Return what has to come, besides the answer of a slice, before the next one has room. What the answer of a
    stream's slice is followed by does not depend on room alone."""
    if run.stream is not None or run.canary_of is not None or run.keeps_order:
        return None
    in_flight = run.totals.underway
    ends = ends_awaited(in_flight=in_flight, outstanding=outstanding, wanted=wanted, credit_window=credit_window)
    return Awaited(ends, answer=True, asked=wanted)


async def exhausted(unit: UnitOfWork, run_id: str) -> bool:
    """Tell whether every partition is sealed and every slice answered."""
    return not await slice_rows.open_partitions(unit, run_id)


async def budget_of(unit: UnitOfWork, run: Run) -> Budget | None:
    """Return what the run and its stream may spend, with what is booked on the run now; None without a budget."""
    of_day = run.day_budget
    day = None
    if of_day is not None and run.stream is not None:
        day = DayBudget(stream=run.stream, limit=of_day["usd"], timezone=of_day["timezone"])
    if run.budget is None:
        return None if day is None else Budget(limit=None, day=day)
    return Budget(limit=run.budget, spent=await usage.cost_of_run(unit.connection, run.run_id), day=day)


def _ask(
    unit: UnitOfWork,
    run: Run,
    asked: SliceRow,
    positions: Sequence[int] | None = None,
    *,
    budget: Budget | None,
    closing: bool = False,
) -> None:
    pipeline = run.pipeline_name
    message = ExtractSlice(
        run_id=run.run_id,
        pipeline=pipeline,
        plan=run.plan,
        epoch=run.epoch,
        partition=asked.partition,
        slice=asked.number,
        piece=None if asked.piece is None else Piece.model_validate(asked.piece),
        cursor=asked.cursor,
        max_batches=asked.max_batches,
        limit=asked.limit,
        positions=tuple(positions) if positions is not None else None,
        budget=budget,
        closing=closing,
    )
    route = flow.replay(pipeline) if run.replay_of else flow.work(Stage.EXTRACT, pipeline)
    unit.send(Outgoing(route, message))


async def issued_at(unit: UnitOfWork, fact: SliceExtracted) -> SliceRow | None:
    """Return what the slice was asked for with that a fact answers; None where it is answered already."""
    return await slice_rows.find_issued(unit, fact.run_id, fact.partition, fact.slice)


async def enter_held(unit: UnitOfWork, run_id: str, asked: SliceRow) -> None:
    """Enter a slice as `asked` for another run, to be read in this run, too. It is asked for by `ask_held`."""
    numbers = select(partitions.c.next_slice).where(partitions.c.run_id == run_id, partitions.c.partition == 0)
    number = (await unit.connection.execute(numbers)).scalar_one()
    await slice_rows.enter(unit, run_id, replace(asked, partition=0, number=number), HELD)


async def ask_held(unit: UnitOfWork, run: Run) -> None:
    """Ask for the slices of a run that are held, unless a question is open that has to be answered before."""
    if any(place.is_question for place in await slice_rows.open_partitions(unit, run.run_id)):
        return
    mine = (slices.c.run_id == run.run_id, slices.c.state == HELD, slices.c.slice >= 0)
    held = list((await unit.connection.execute(select(slices.c.slice).where(*mine))).scalars())
    if not held:
        return
    await unit.connection.execute(update(slices).where(*mine).values(state=ISSUED, issued_at=unit.now))
    budget = await budget_of(unit, run)
    for number in sorted(held):
        asked = await slice_rows.find_issued(unit, run.run_id, 0, number)
        assert asked is not None, "it was entered"
        _ask(unit, run, asked, budget=budget)


async def ask_once_more(unit: UnitOfWork, run: Run, asked: SliceRow, *, closing: bool) -> None:
    """Ask for the same slice again, because its source had nothing yet. With `closing` nothing more is waited for."""
    here = (slices.c.run_id == run.run_id, slices.c.partition == asked.partition, slices.c.slice == asked.number)
    await unit.connection.execute(update(slices).where(*here).values(issued_at=unit.now))
    _ask(unit, run, asked, budget=await budget_of(unit, run), closing=closing)


async def answered(unit: UnitOfWork, fact: SliceExtracted) -> bool:
    """Take note that a slice was read: where the next begins, or that there is none. Twice is once. Return whether it
    was the last one of its partition; False where it was known."""
    here = {"run": fact.run_id, "part": fact.partition}
    changed = await unit.connection.execute(_ANSWERED, {**here, "number": fact.slice})
    if not changed.rowcount:
        return False
    read = fact.others + sum(batch.tally.extracted for batch in fact.batches)
    said = {**here, "place": fact.cursor, "read": read, "end": fact.end}
    return bool((await unit.connection.execute(_READ, said)).scalar_one())


async def asked_for_none(unit: UnitOfWork, run_id: str) -> bool:
    """Tell whether no slice of a run was ever asked for."""
    numbers = select(func.max(partitions.c.next_slice)).where(partitions.c.run_id == run_id)
    return not (await unit.connection.execute(numbers)).scalar()


async def remaining_of(unit: UnitOfWork, run_id: str) -> int | None:
    """Return how many more records are wanted of a run's only partition; None where all are."""
    return (await unit.connection.execute(select(partitions.c.remaining).where(partitions.c.run_id == run_id))).scalar()


async def seal(unit: UnitOfWork, run_id: str) -> None:
    """Let no more slices of a run be asked for."""
    await unit.connection.execute(_SEAL, {"run": run_id})


async def reissue(unit: UnitOfWork, run: Run, *, closing: bool = False) -> int:
    """Ask again for everything that has not ended: unanswered slices whole, answered ones for their unfinished
    batches. Works from the database alone, whatever the broker has lost. With `closing`, an unanswered slice of a
    stream takes nothing more from its source. Returns how many slices were asked for."""
    run_id = run.run_id
    unfinished = await unit.connection.execute(
        select(batches.c.partition, batches.c.slice, batches.c.position).where(batches.c.run_id == run_id, IS_UNDERWAY)
    )
    positions: dict[tuple[int, int], list[int]] = {}
    for partition, number, position in unfinished:
        positions.setdefault((partition, number), []).append(position)
    rows = await unit.connection.execute(
        select(slices.c.state, *slice_rows.ASKED_WITH)
        .select_from(slices.join(partitions, slice_rows.OF_PARTITION))
        .where(slices.c.run_id == run_id)
        .order_by(slices.c.partition, slices.c.slice)
    )
    asked = 0
    budget = await budget_of(unit, run)
    for state, *columns in rows:
        again = SliceRow(*columns)
        if state == ISSUED and again.number == SPLITTING:
            partitions_of_runs.ask_again(unit, run)
        elif state == ISSUED and again.number < 0:
            await preflight.ask_again(unit, run, again.number)
        elif state == ISSUED:
            _ask(unit, run, again, budget=budget, closing=closing)
        elif (wanted := positions.get((again.partition, again.number))) is not None:
            _ask(unit, run, again, sorted(wanted), budget=budget)
        else:
            continue
        asked += 1
    await asked_again(unit, run_id)
    return asked


async def asked_again(unit: UnitOfWork, run_id: str) -> None:
    """Enter that what has not ended is asked for at this moment: the sweep counts its silence from here."""
    await unit.connection.execute(update(slices).where(slices.c.run_id == run_id, IS_ISSUED).values(issued_at=unit.now))
    await unit.connection.execute(
        update(batches).where(batches.c.run_id == run_id, IS_UNDERWAY).values(updated_at=unit.now)
    )
    await run_totals.asked_again(unit, run_id)


async def last_asked(unit: UnitOfWork, run_ids: Iterable[str]) -> dict[str, tuple[int, dt.datetime | None]]:
    """Return how many batches each of these runs was asked for, and when the last of its unanswered slices was."""
    issued = select(func.max(slices.c.issued_at)).where(slices.c.run_id == partitions.c.run_id, IS_ISSUED)
    rows = await unit.connection.execute(
        select(partitions.c.run_id, func.sum(partitions.c.released), issued.scalar_subquery())
        .where(unit.among(partitions.c.run_id, run_ids))
        .group_by(partitions.c.run_id)
    )
    return {run_id: (int(released), at) for run_id, released, at in rows}
