"""Reads and enters the rows of `slices`, with what their partitions say of them.

The questions that come before the first slice stand there, too, as slices of no batches with negative numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, bindparam, false, func, insert, literal_column, select, update

from loom_coordinator.db.tables.work import partitions, slices
from loom_coordinator.db.unit_of_work import UnitOfWork

ISSUED = "issued"
EXTRACTED = "extracted"
HELD = "held"
"""The state of what is entered and not asked for yet: the question how the source is split, before another question is
answered; or a slice of a run beside a window."""
IS_ISSUED = slices.c.state == literal_column(f"'{ISSUED}'")
"""A condition that the index of unanswered slices serves: its value is part of the statement."""
OF_PARTITION = (slices.c.run_id == partitions.c.run_id) & (slices.c.partition == partitions.c.partition)
"""The condition by which a slice is joined to its partition."""
ASKED_WITH = (
    slices.c.partition,
    slices.c.slice,
    partitions.c.piece,
    slices.c.cursor,
    slices.c.record_limit,
    slices.c.max_batches,
)
"""The columns of a `SliceRow`."""
_OPEN = (
    select(
        partitions.c.partition,
        partitions.c.next_slice,
        partitions.c.piece,
        partitions.c.cursor,
        partitions.c.remaining,
        partitions.c.released,
        slices.c.max_batches.label("asked"),
        func.coalesce(slices.c.slice < 0, false()).label("is_question"),
    )
    .select_from(partitions.outerjoin(slices, OF_PARTITION & IS_ISSUED))
    .where(
        partitions.c.run_id == bindparam("run_id"),
        partitions.c.sealed.is_(False) | slices.c.max_batches.is_not(None),
    )
)
_FOUND = (
    select(*ASKED_WITH)
    .select_from(slices.join(partitions, OF_PARTITION))
    .where(
        slices.c.run_id == bindparam("run_id"),
        slices.c.partition == bindparam("partition"),
        slices.c.slice == bindparam("number"),
        IS_ISSUED,
    )
)
_ENTER = insert(slices)
_NEXT = (
    update(partitions)
    .where(partitions.c.run_id == bindparam("run"), partitions.c.partition == bindparam("part"))
    .values(next_slice=partitions.c.next_slice + 1, released=partitions.c.released + bindparam("more", type_=Integer))
)
"""Statements that every slice asks for, made once."""


@dataclass(frozen=True, slots=True)
class SliceRow:
    """Holds what a slice is asked for with."""

    partition: int
    number: int
    piece: Mapping[str, Any] | None
    cursor: Any
    limit: int | None
    max_batches: int


@dataclass(frozen=True, slots=True)
class OpenPartition:
    """Holds a partition of which there is more to extract."""

    partition: int
    next_slice: int
    piece: Mapping[str, Any] | None
    """The piece of the source that it reads; None for all of it."""
    cursor: Any
    """The place where its next slice begins, as its source wrote it."""
    remaining: int | None
    """The number of records that are still wanted; None for all."""
    released: int
    """The number of batches asked for so far."""
    asked: int | None
    """The batches of the slice that is not answered yet; None where there is none."""
    is_question: bool
    """Tells whether what is not answered yet is a question, which is answered before the first slice is asked for."""

    def next_one(self, max_batches: int) -> SliceRow:
        """Return what its next slice is asked for with."""
        return SliceRow(self.partition, self.next_slice, self.piece, self.cursor, self.remaining, max_batches)


async def open_partitions(unit: UnitOfWork, run_id: str) -> list[OpenPartition]:
    """Return the partitions that are not sealed, or of which a slice is asked and not answered yet."""
    return [OpenPartition(*row) for row in await unit.connection.execute(_OPEN, {"run_id": run_id})]


async def find_issued(unit: UnitOfWork, run_id: str, partition: int, number: int) -> SliceRow | None:
    """Return what a slice was asked for with; None where it is answered already."""
    here = {"run_id": run_id, "partition": partition, "number": number}
    row = (await unit.connection.execute(_FOUND, here)).one_or_none()
    return None if row is None else SliceRow(*row)


async def enter(unit: UnitOfWork, run_id: str, asked: SliceRow, state: str) -> None:
    """Enter the next slice of a partition."""
    await unit.connection.execute(
        _ENTER,
        {
            "run_id": run_id,
            "partition": asked.partition,
            "slice": asked.number,
            "cursor": asked.cursor,
            "record_limit": asked.limit,
            "max_batches": asked.max_batches,
            "state": state,
            "issued_at": unit.now,
        },
    )
    await unit.connection.execute_later(_NEXT, {"run": run_id, "part": asked.partition, "more": asked.max_batches})


async def enter_questions(unit: UnitOfWork, run_id: str, states: Mapping[int, str]) -> None:
    """Enter questions about the source and the destination of a run, each by its number and in its state."""
    about = {"run_id": run_id, "partition": 0, "max_batches": 0, "issued_at": unit.now}
    rows = [{**about, "slice": number, "state": state} for number, state in states.items()]
    await unit.connection.execute_later(_ENTER, rows)


async def holds_any(unit: UnitOfWork, run_id: str) -> bool:
    """Tell whether slices of a run are held, or were asked for and are not answered."""
    mine = select(slices.c.slice).where(slices.c.run_id == run_id, slices.c.state.in_((HELD, ISSUED)))
    return (await unit.connection.execute(mine.limit(1))).first() is not None


async def cursor_of(unit: UnitOfWork, run_id: str) -> Any:
    """Return where the next slice of a run's only partition would begin."""
    return (await unit.connection.execute(select(partitions.c.cursor).where(partitions.c.run_id == run_id))).scalar()
