"""Brings the rows of batches up to date with the facts about them, and the totals of their runs with the rows."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BindParameter, Select, bindparam, literal_column, select

from loom_common.contracts.v1 import BatchFact, CallsPaid, RecordsKept, SliceExtracted
from loom_common.domain.run.calls import Calls
from loom_common.flow import Stage
from loom_coordinator.accounting import failure_limits, running_totals
from loom_coordinator.accounting.batch import COLUMNS, NOTHING_PAID, UNDERWAY, Batch, BatchUsage, from_row
from loom_coordinator.accounting.failure_limits import NONE, Count
from loom_coordinator.db import run_totals
from loom_coordinator.db.run import Run
from loom_coordinator.db.run_totals import RunTotals
from loom_coordinator.db.tables.work import batches
from loom_coordinator.db.unit_of_work import UnitOfWork, one_of

_BEFORE = {stage.next: stage for stage in Stage if stage.next is not None}

IS_UNDERWAY = batches.c.state == literal_column(f"'{UNDERWAY}'")
"""A condition that the index of batches in flight serves: its value is part of the statement."""
Fact = SliceExtracted | BatchFact | CallsPaid | RecordsKept
Paid = tuple[str, Stage, tuple[Calls, ...]]
"""A run, a stage, and calls that must be added to what is booked on them."""
Key = tuple[str, str]
"""A run and a batch of it."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Says what facts have changed."""

    totals: Mapping[str, RunTotals]
    """The new totals of the runs whose batches have changed."""
    paid: Sequence[Paid]
    counted: Mapping[str, Mapping[Stage, Count]]
    """Is, by run, what each stage has seen and failed on besides. A run in which nothing failed may be missing."""
    scored: Sequence[BatchFact] = ()
    """The facts with scores that were not known before."""


async def apply(unit: UnitOfWork, runs: Mapping[str, Run], facts: Sequence[Fact]) -> Applied:
    """Bring the rows of all batches these facts speak of up to date, and the totals of their `runs`, which are locked
    by the caller."""
    if not facts:
        return Applied({}, (), {})
    known = await _read(unit, facts)
    before = {key: batch.copied() for key, batch in known.items()}
    paid = [each for fact in facts for each in _take(known, fact)]
    changed = {key: batch for key, batch in known.items() if batch != before.get(key)}
    await unit.upsert(batches, [batch.row(unit.now) for batch in changed.values()])
    totals: dict[str, RunTotals] = {}
    for run_id in {run_id for run_id, _ in changed}:
        mine = [(before.get(key), batch) for key, batch in changed.items() if key[0] == run_id]
        totals[run_id] = running_totals.changed(runs[run_id].totals, mine, unit.now)
    await run_totals.write(unit, totals)
    return Applied(totals, paid, _counted(runs, before, changed), _newly_scored(before, facts))


def _newly_scored(before: Mapping[Key, Batch], facts: Iterable[Fact]) -> list[BatchFact]:
    """Return the facts with scores, of each stage and batch the first: a batch that a stage has told of has a time."""
    found: dict[tuple[str, str, Stage], BatchFact] = {}
    for fact in facts:
        if isinstance(fact, BatchFact) and fact.evaluations:
            known = before.get((fact.header.run_id, fact.header.batch_id))
            if known is None or fact.stage.value not in known.seconds:
                found.setdefault((fact.header.run_id, fact.header.batch_id, fact.stage), fact)
    return list(found.values())


def _take(known: dict[Key, Batch], fact: Fact) -> list[Paid]:
    """Take one fact into the batches that it speaks of. Return what it adds to the books of their runs."""
    match fact:
        case SliceExtracted():
            for sliced in fact.batches:
                batch = known.setdefault((fact.run_id, sliced.batch_id), Batch(fact.run_id, sliced.batch_id))
                batch.place(fact.partition, fact.slice, sliced.position)
                batch.extracted(sliced.tally)
            return []
        case RecordsKept():
            batch = known.setdefault((fact.run_id, fact.batch_id), Batch(fact.run_id, fact.batch_id))
            batch.kept = max(batch.kept, fact.kept)
            return []
        case BatchFact(header=header) | CallsPaid(header=header):
            batch = known.setdefault((header.run_id, header.batch_id), Batch(header.run_id, header.batch_id))
            batch.place(header.partition, header.slice, header.position)
    if isinstance(fact, CallsPaid):
        batch.advance(_BEFORE[fact.stage], fact.header.tally)
        calls = batch.pay(fact.stage, BatchUsage(fact.calls))
    else:
        if fact.stage is Stage.EXTRACT:
            batch.extracted(fact.header.tally)
        else:
            batch.advance(fact.stage, fact.header.tally)
        batch.time(fact)
        calls = batch.pay(fact.stage, BatchUsage(fact.calls, whole=True) if fact.calls else NOTHING_PAID)
    return [(batch.run_id, fact.stage, calls)] if calls else []


def _counted(
    runs: Mapping[str, Run], before: Mapping[Key, Batch], changed: Mapping[Key, Batch]
) -> dict[str, dict[Stage, Count]]:
    """A record that fails is kept back. Where none is, nobody asks how many a stage has seen."""
    some_kept = {batch.run_id for batch in changed.values() if batch.unread > 0 or batch.tally.kept}
    counted: dict[str, dict[Stage, tuple[int, int]]] = {}
    for key, batch in changed.items():
        if batch.run_id not in some_kept and runs[batch.run_id].counted is None:
            continue
        sums = counted.setdefault(batch.run_id, {})
        was = _counts(before[key]) if key in before else {}
        for stage, count in _counts(batch).items():
            seen, failed = sums.get(stage, (0, 0))
            known = was.get(stage, NONE)
            sums[stage] = (seen + count.seen - known.seen, failed + count.failed - known.failed)
    return {run_id: {stage: Count(*pair) for stage, pair in sums.items()} for run_id, sums in counted.items()}


def _counts(batch: Batch) -> dict[Stage, Count]:
    return failure_limits.of_batch(batch.stage, batch.tally, batch.unread)


async def _read(unit: UnitOfWork, facts: Iterable[Fact]) -> dict[Key, Batch]:
    run_ids: set[str] = set()
    names: set[str] = set()
    for fact in facts:
        run_ids.add(fact.correlation_id)
        match fact:
            case SliceExtracted():
                names.update(sliced.batch_id for sliced in fact.batches)
            case BatchFact(header=header) | CallsPaid(header=header):
                names.add(header.batch_id)
            case RecordsKept():
                names.add(fact.batch_id)
    named = {"run_ids": list(run_ids), "batch_ids": list(names)}
    rows = await unit.connection.execute(_named(unit.dialect), named)
    return {(batch.run_id, batch.batch_id): batch for batch in map(from_row, rows)}


@functools.cache
def _named(dialect: str) -> Select[tuple[object, ...]]:
    """Batch ids are unique across runs; the runs are named because the key, and so its index, begins with them."""
    mine: BindParameter[list[str]] = bindparam("run_ids")
    named: BindParameter[list[str]] = bindparam("batch_ids")
    columns = [batches.c[name] for name in COLUMNS]
    return select(*columns).where(one_of(dialect, batches.c.run_id, mine), one_of(dialect, batches.c.batch_id, named))
