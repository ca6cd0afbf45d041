"""Describes what is known of each batch. A fact carries the batch's cumulative tally, so the furthest fact tells all:
facts may come twice, and in any order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, select

from loom_common.contracts.v1 import BatchFact, CallsPaid, RecordsKept, SliceExtracted
from loom_common.domain.run.calls import Calls, advanced, difference
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_coordinator.accounting import failure_limits
from loom_coordinator.accounting.failure_limits import NONE, Count
from loom_coordinator.db.tables.work import batches
from loom_coordinator.db.unit_of_work import UnitOfWork

UNDERWAY = "underway"
DONE = "done"

_ORDER = {stage: rank for rank, stage in enumerate(Stage)}
_BEFORE = {stage.next: stage for stage in Stage if stage.next is not None}


_MONEY = ("calls_made", "calls_from_cache", "tokens_in", "tokens_out", "cost_transform", "cost_evaluate")


@dataclass(frozen=True, slots=True)
class BatchUsage:
    """Holds what one stage paid for one batch."""

    calls: tuple[Calls, ...] = ()
    whole: bool = False
    """Tells whether the stage is done with the batch; else more may come."""

    def better_than(self, other: BatchUsage) -> bool:
        """Tell whether `other` tells nothing new: words about a batch come twice, and in any order."""
        if self.whole != other.whole:
            return self.whole
        return not self.whole and self._told > other._told

    @property
    def _told(self) -> tuple[int, int]:
        return (sum(each.made for each in self.calls), sum(each.reused for each in self.calls))

    def as_json(self) -> dict[str, Any]:
        """Write it for the batch's row."""
        return {"whole": self.whole, "calls": [each.model_dump() for each in self.calls]}

    @staticmethod
    def of_json(said: Mapping[str, Any]) -> BatchUsage:
        """Read what `as_json` gave."""
        return BatchUsage(tuple(Calls(**each) for each in said["calls"]), said["whole"])


@dataclass(slots=True)
class Batch:
    """Represents one batch row. `stage` is the last one known to be done with it."""

    run_id: str
    batch_id: str
    partition: int = -1
    slice: int = -1
    position: int = -1
    stage: Stage = Stage.EXTRACT
    tally: Tally = field(default_factory=Tally)
    kept: int = 0
    """The number of records of it that the quarantine holds."""
    unread: int = -1
    """The number of records of it that the extraction kept back; -1 until its slice has told."""
    seconds: dict[str, float] = field(default_factory=dict)
    latency: dict[str, int] = field(default_factory=dict)
    waited: dict[str, int] = field(default_factory=dict)
    usages: dict[str, BatchUsage] = field(default_factory=dict)
    """Says what each stage paid for it, by the name of the stage."""

    def pay(self, stage: Stage, usage: BatchUsage) -> tuple[Calls, ...]:
        """Take a stage's usage, unless a better one is known. Return what that adds to the books."""
        known = self.usages.get(stage.value, BatchUsage())
        if known.better_than(usage):
            return ()
        self.usages[stage.value] = usage
        return difference(usage.calls, known.calls)

    @property
    def paid(self) -> Tally:
        """Return the tally, with the cost of all stages, also of those that are not done with the batch."""
        money: dict[str, float] = dict.fromkeys(_MONEY, 0)
        for stage, usage in self.usages.items():
            for name, amount in advanced(usage.calls, stage).items():
                money[name] += amount
        return self.tally.model_copy(update=money)

    def advance(self, stage: Stage, tally: Tally) -> None:
        """Take the tally of a stage, unless a later stage's is known. The stages after it that have nothing to do are
        then done with the batch, too."""
        done = furthest(stage, tally)
        if _ORDER[done] >= _ORDER[self.stage]:
            self.stage, self.tally = done, tally

    def extracted(self, tally: Tally) -> None:
        """Take the tally of the extraction. Of a replay's batch there may be two, in any order: the one that was made
        after its keys were checked has kept more back."""
        self.unread = max(self.unread, tally.kept)
        if self.stage is not Stage.EXTRACT or tally.ended >= self.tally.ended:
            self.advance(Stage.EXTRACT, tally)

    def time(self, fact: BatchFact) -> None:
        """Take what a stage says of the time it took."""
        self.seconds = {**self.seconds, fact.stage.value: fact.seconds}
        if fact.latency:
            self.latency = {str(bucket): count for bucket, count in fact.latency.items()}
        if fact.waited:
            self.waited = {str(bucket): count for bucket, count in fact.waited.items()}

    @property
    def state(self) -> str:
        """Done when every record has ended, and everything kept back is in the quarantine's table."""
        ended = self.placed and self.tally.balanced and self.kept >= self.tally.kept
        return DONE if ended else UNDERWAY

    @property
    def placed(self) -> bool:
        """Tell whether its place in the source is known: the quarantine, which may speak first, does not know it."""
        return self.position >= 0

    def place(self, partition: int, number: int, position: int) -> None:
        """Learn the batch's place."""
        self.partition, self.slice, self.position = partition, number, position

    def row(self, now: dt.datetime) -> dict[str, Any]:
        """Return the columns of this batch."""
        return {
            "run_id": self.run_id,
            "batch_id": self.batch_id,
            "partition": self.partition,
            "slice": self.slice,
            "position": self.position,
            "stage": self.stage.value,
            "state": self.state,
            **self.paid.model_dump(),
            "kept": self.kept,
            "unread": self.unread,
            "seconds": self.seconds,
            "latency": self.latency,
            "waited": self.waited or None,
            "calls": {stage: usage.as_json() for stage, usage in self.usages.items()} or None,
            "updated_at": now,
        }


def from_row(row: RowMapping) -> Batch:
    """Read the batch of a row."""
    return Batch(
        run_id=row["run_id"],
        batch_id=row["batch_id"],
        partition=row["partition"],
        slice=row["slice"],
        position=row["position"],
        stage=Stage(row["stage"]),
        tally=Tally(**{name: row[name] for name in Tally.model_fields}),
        kept=row["kept"],
        unread=row["unread"],
        seconds=row["seconds"],
        latency=row["latency"],
        waited=row["waited"] or {},
        usages={stage: BatchUsage.of_json(said) for stage, said in (row["calls"] or {}).items()},
    )


def furthest(stage: Stage, tally: Tally) -> Stage:
    """Return the last stage that is done with a batch whose tally `stage` has told: that stage, or a later one that
    the batch did not visit, because it had nothing to do. The tally counts what such a stage let through."""
    counted = {Stage.TRANSFORM: tally.transformed, Stage.EVALUATE: tally.passed}
    return max([stage, *(each for each, records in counted.items() if records)], key=_ORDER.__getitem__)


Fact = SliceExtracted | BatchFact | CallsPaid | RecordsKept
Paid = tuple[str, Stage, tuple[Calls, ...]]
"""A run, a stage, and calls that must be added to what is booked on them."""


Counted = dict[str, dict[Stage, Count]]
"""Says by run what each stage has seen and failed on besides."""


async def apply(unit: UnitOfWork, facts: Iterable[Fact]) -> tuple[list[Paid], Counted]:
    """Bring the rows of all batches these facts speak of up to date; what they add to the books of their runs, and to
    what their stages have seen. The runs are locked by the caller."""
    paid: list[Paid] = []
    facts = list(facts)
    known = await _read(unit, facts)
    before = {key: failure_limits.of_batch(batch.stage, batch.tally, batch.unread) for key, batch in known.items()}
    for fact in facts:
        match fact:
            case SliceExtracted():
                for sliced in fact.batches:
                    batch = known.setdefault((fact.run_id, sliced.batch_id), Batch(fact.run_id, sliced.batch_id))
                    batch.place(fact.partition, fact.slice, sliced.position)
                    batch.extracted(sliced.tally)
            case BatchFact(header=header):
                batch = known.setdefault((header.run_id, header.batch_id), Batch(header.run_id, header.batch_id))
                batch.place(header.partition, header.slice, header.position)
                if fact.stage is Stage.EXTRACT:
                    batch.extracted(header.tally)
                else:
                    batch.advance(fact.stage, header.tally)
                batch.time(fact)
                paid.append((header.run_id, fact.stage, batch.pay(fact.stage, BatchUsage(fact.calls, whole=True))))
            case CallsPaid(header=header):
                batch = known.setdefault((header.run_id, header.batch_id), Batch(header.run_id, header.batch_id))
                batch.place(header.partition, header.slice, header.position)
                batch.advance(_BEFORE[fact.stage], header.tally)
                paid.append((header.run_id, fact.stage, batch.pay(fact.stage, BatchUsage(fact.calls))))
            case RecordsKept():
                batch = known.setdefault((fact.run_id, fact.batch_id), Batch(fact.run_id, fact.batch_id))
                batch.kept = max(batch.kept, fact.kept)
    await unit.upsert(batches, [batch.row(unit.now) for batch in known.values()])
    counted: Counted = {}
    for key, batch in known.items():
        sums = counted.setdefault(batch.run_id, {})
        was = before.get(key, {})
        for stage, count in failure_limits.of_batch(batch.stage, batch.tally, batch.unread).items():
            sums[stage] = sums.get(stage, NONE) + count - was.get(stage, NONE)
    return [each for each in paid if each[2]], counted


async def _read(unit: UnitOfWork, facts: Iterable[Fact]) -> dict[tuple[str, str], Batch]:
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
    # Batch ids are unique across runs; the runs are named because the key, and so its index, begins with them.
    mentioned = unit.among(batches.c.run_id, run_ids), unit.among(batches.c.batch_id, names)
    rows = await unit.connection.execute(select(batches).where(*mentioned))
    return {(row["run_id"], row["batch_id"]): from_row(row) for row in rows.mappings()}
