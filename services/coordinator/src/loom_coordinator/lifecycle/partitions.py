"""Begins the partitions of a run. Each reads one piece of the source, or the groups that a step has made.

Where the source may be split, an extractor is asked once, before the first slice, and its answer is kept: the pieces
of a run are the same until its end, however many extractors there are, and however often it is resumed. The question
stands among the slices, as one of no batches, so that it is asked again as slices are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, select, update

from loom_common import flow
from loom_common.async_engine import AsyncConnection
from loom_common.contracts import v1
from loom_common.contracts.envelope import Outgoing
from loom_common.domain.run.piece import Piece
from loom_common.flow import Stage
from loom_coordinator.accounting import tallies
from loom_coordinator.db import slice_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.slice_rows import EXTRACTED, HELD, ISSUED, OpenPartition
from loom_coordinator.db.tables.work import partitions, slices
from loom_coordinator.db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from loom_common.domain.definition.extract import ExtractConfig
    from loom_common.domain.run.plan import Plan

SPLITTING = -1
"""The number that the question how the source is split has among the slices of partition 0."""


@dataclass(frozen=True, slots=True)
class PartitionCounts:
    """Says how many partitions a run has, and how many of them are read to their end."""

    total: int
    read: int


async def count(connection: AsyncConnection, run_id: str) -> PartitionCounts:
    """Count the partitions of a run that read pieces of its source, and not groups that its steps have made."""
    found = await connection.execute(_OF_RUN, {"run_id": run_id})
    read = [sealed for sealed, piece in found if (piece or {}).get("group") is None]
    return PartitionCounts(len(read), sum(read))


_OF_RUN = select(partitions.c.sealed, partitions.c.piece).where(partitions.c.run_id == bindparam("run_id"))
_INSERT = partitions.insert()
_HERE = (slices.c.run_id == bindparam("run"), slices.c.slice == SPLITTING)
_HELD_HERE = select(slices.c.slice).where(*_HERE, slices.c.state == HELD)
_ASK_HELD = (
    update(slices)
    .where(*_HERE, slices.c.state == HELD)
    .values(state=ISSUED, issued_at=bindparam("now", type_=slices.c.issued_at.type))
)
_SPLIT = update(slices).where(*_HERE, slices.c.state.in_((ISSUED, HELD))).values(state=EXTRACTED)


async def begin(unit: UnitOfWork, run_id: str, limit: int | None, piece: Piece | None = None) -> OpenPartition:
    """Begin partition 0 at the start of the source, which is all of it until it is split, or of the `piece` that the
    run reads, and return it. `limit` is how many records are wanted; None for all."""
    read = {"cursor": None, "piece": None} if piece is None else _columns(piece)
    row = {"partition": 0, "next_slice": 0, "released": 0, "remaining": limit, **read}
    await unit.connection.execute(_INSERT, {**row, "run_id": run_id, "sealed": False})
    return OpenPartition(**row, asked=None, is_question=False)


async def begin_groups(unit: UnitOfWork, run: Run) -> bool:
    """Begin a partition that reads what the next step has grouped, as a source is read, of a run of which nothing is on
    the way: its groups are complete. Return whether there is one. The caller holds the lock of the run. A replay makes
    no groups."""
    from loom_common.domain.definition.transforms.steps import StepsTransformConfig  # `loom status` only counts

    config = tallies.definition(run).transform
    if run.replay_of is not None or not isinstance(config, StepsTransformConfig) or not config.graph.groups:
        return False
    rows = await unit.connection.execute(
        select(partitions.c.partition, partitions.c.piece).where(partitions.c.run_id == run.run_id)
    )
    known = {number: (piece or {}).get("group") for number, piece in rows}
    step = next((each for each in config.graph.groups if each not in known.values()), None)
    if step is None:
        return False
    await unit.connection.execute(
        partitions.insert().values(
            run_id=run.run_id,
            partition=max(known) + 1,
            next_slice=0,
            released=0,
            cursor=None,
            piece=Piece(group=step).model_dump(),
            remaining=None,
            sealed=False,
        )
    )
    return True


def may_be_split(plan: Plan, *, embedded: bool) -> bool:
    """Tell whether a run asks how its source is split: a trial reads the first records, a replay no source. An
    embedded run is one process, which reads no faster in several places, so it asks only where it is told to. Pure."""
    parts = plan.pipeline.extract.partitions
    if plan.limit is not None or plan.replay is not None or parts == 1:
        return False
    return parts != "auto" or not embedded


async def ask(unit: UnitOfWork, run: Run) -> None:
    """Ask into which pieces the source is split."""
    await slice_rows.enter_questions(unit, run.run_id, {SPLITTING: ISSUED})
    ask_again(unit, run)


async def ask_held(unit: UnitOfWork, run: Run) -> None:
    """Ask the question that was held, where the other one did not answer it."""
    changed = await unit.connection.execute(_ASK_HELD, {"run": run.run_id, "now": unit.now})
    if changed.rowcount:
        ask_again(unit, run)


async def held(unit: UnitOfWork, run: Run) -> dict[str, Any]:
    """Return what `CheckSource` says of the question that is held; nothing where none is."""
    found = await unit.connection.execute(_HELD_HERE, {"run": run.run_id})
    return {} if found.first() is None else with_split(run)


def with_split(run: Run) -> dict[str, Any]:
    """Return what `CheckSource` says where it asks how the source is split, too."""
    return {"split": True, "parts": _parts(tallies.definition(run).extract)}


def ask_again(unit: UnitOfWork, run: Run) -> None:
    """Ask into which pieces the source is split, as it was asked before."""
    message = v1.SplitSource(
        run_id=run.run_id,
        pipeline=run.pipeline_name,
        plan=run.plan,
        epoch=run.epoch,
        parts=_parts(tallies.definition(run).extract),
    )
    unit.send(Outgoing(flow.work(Stage.EXTRACT, run.pipeline_name), message))


def _parts(extract: ExtractConfig) -> int | None:
    return None if extract.partitions == "auto" else extract.partitions


async def answered(unit: UnitOfWork, run: Run, fact: v1.SourceSplit) -> None:
    """Begin a partition for each piece of the source. The first answer to the newest question counts: what was found
    before may be of a source that was mended since."""
    if fact.epoch != run.epoch:
        return
    changed = await unit.connection.execute(_SPLIT, {"run": fact.run_id})
    if not changed.rowcount or len(fact.pieces) == 1:
        return
    first, *others = map(_columns, fact.pieces)
    await unit.connection.execute(update(partitions).where(partitions.c.run_id == fact.run_id).values(**first))
    rows = [
        {"run_id": fact.run_id, "partition": at, "next_slice": 0, "released": 0, "sealed": False, **columns}
        for at, columns in enumerate(others, 1)
    ]
    await unit.connection.execute(partitions.insert(), rows)


async def forget(unit: UnitOfWork, run_id: str) -> None:
    """Forget into which pieces the source was split, before a slice of one was asked for: its answer is wanted
    anew."""
    changed = await unit.connection.execute(
        update(slices)
        .where(slices.c.run_id == run_id, slices.c.slice == SPLITTING, slices.c.state == EXTRACTED)
        .values(state=HELD)
    )
    if changed.rowcount:
        mine = partitions.c.run_id == run_id
        await unit.connection.execute(delete(partitions).where(mine, partitions.c.partition > 0))
        await unit.connection.execute(update(partitions).where(mine).values(piece=None, cursor=None))


def _columns(piece: Piece) -> dict[str, Any]:
    return {"piece": piece.model_dump(), "cursor": piece.start}
