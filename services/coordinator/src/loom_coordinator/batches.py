"""What is known of each batch. A fact carries the batch's cumulative tally, so the furthest fact tells all:
facts may come twice, and in any order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, select

from loom_common.contracts.v1 import BatchFact, RecordsKept, SliceExtracted
from loom_common.domain.tally import Tally
from loom_common.flow import Stage
from loom_coordinator.tables import batches
from loom_coordinator.unit import Unit

UNDERWAY = "underway"
DONE = "done"

_ORDER = {stage: rank for rank, stage in enumerate(Stage)}


@dataclass(slots=True)
class Batch:
    """One batch row. `stage` is the last one known to be done with it."""

    run_id: str
    batch_id: str
    partition: int = -1
    slice: int = -1
    position: int = -1
    stage: Stage = Stage.EXTRACT
    tally: Tally = field(default_factory=Tally)
    kept: int = 0
    """Records of it that the quarantine holds."""
    unread: int = -1
    """Records of it that the extraction kept back; -1 until its slice has told."""
    seconds: dict[str, float] = field(default_factory=dict)
    latency: dict[str, int] = field(default_factory=dict)

    def advance(self, stage: Stage, tally: Tally) -> None:
        """Take the tally of a stage, unless a later stage's is known."""
        if _ORDER[stage] >= _ORDER[self.stage]:
            self.stage, self.tally = stage, tally

    @property
    def state(self) -> str:
        """Done when every record has ended, and everything kept back is in the quarantine's table."""
        ended = self.placed and self.tally.balanced and self.kept >= self.tally.kept
        return DONE if ended else UNDERWAY

    @property
    def placed(self) -> bool:
        """Whether its place in the source is known: the quarantine, which may speak first, does not know it."""
        return self.position >= 0

    def place(self, partition: int, number: int, position: int) -> None:
        """Learn the batch's place."""
        self.partition, self.slice, self.position = partition, number, position

    def row(self, now: dt.datetime) -> dict[str, Any]:
        """The columns of this batch."""
        return {
            "run_id": self.run_id,
            "batch_id": self.batch_id,
            "partition": self.partition,
            "slice": self.slice,
            "position": self.position,
            "stage": self.stage.value,
            "state": self.state,
            **self.tally.model_dump(),
            "kept": self.kept,
            "unread": self.unread,
            "seconds": self.seconds,
            "latency": self.latency,
            "updated_at": now,
        }


def from_row(row: RowMapping) -> Batch:
    """The batch of a row."""
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
    )


async def apply(unit: Unit, facts: Iterable[SliceExtracted | BatchFact | RecordsKept]) -> None:
    """Bring the rows of all batches these facts speak of up to date. The runs are locked by the caller."""
    facts = list(facts)
    known = await _read(unit, facts)
    for fact in facts:
        match fact:
            case SliceExtracted():
                for sliced in fact.batches:
                    batch = known.setdefault((fact.run_id, sliced.batch_id), Batch(fact.run_id, sliced.batch_id))
                    batch.place(fact.partition, fact.slice, sliced.position)
                    batch.advance(Stage.EXTRACT, sliced.tally)
                    batch.unread = sliced.tally.kept
            case BatchFact(header=header):
                batch = known.setdefault((header.run_id, header.batch_id), Batch(header.run_id, header.batch_id))
                batch.place(header.partition, header.slice, header.position)
                batch.advance(fact.stage, header.tally)
                batch.seconds = {**batch.seconds, fact.stage.value: fact.seconds}
                if fact.latency:
                    batch.latency = {str(bucket): count for bucket, count in fact.latency.items()}
            case RecordsKept():
                batch = known.setdefault((fact.run_id, fact.batch_id), Batch(fact.run_id, fact.batch_id))
                batch.kept = max(batch.kept, fact.kept)
    await unit.upsert(batches, [batch.row(unit.now) for batch in known.values()])


async def _read(unit: Unit, facts: Iterable[SliceExtracted | BatchFact | RecordsKept]) -> dict[tuple[str, str], Batch]:
    run_ids: set[str] = set()
    names: set[str] = set()
    for fact in facts:
        run_ids.add(fact.correlation_id)
        match fact:
            case SliceExtracted():
                names.update(sliced.batch_id for sliced in fact.batches)
            case BatchFact(header=header):
                names.add(header.batch_id)
            case RecordsKept():
                names.add(fact.batch_id)
    # Batch ids are unique across runs; the runs are named because the key, and so its index, begins with them.
    mentioned = unit.among(batches.c.run_id, run_ids), unit.among(batches.c.batch_id, names)
    rows = await unit.connection.execute(select(batches).where(*mentioned))
    return {(row["run_id"], row["batch_id"]): from_row(row) for row in rows.mappings()}
