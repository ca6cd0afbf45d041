"""Makes the run state of a stream whose first window is being read, and tells it what the extractor answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Table, func, select

from loom_common.contracts.v1 import (
    BatchFact,
    BatchHeader,
    SlicedBatch,
    SliceExtracted,
)
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id, window_run_id
from loom_common.flow import Stage
from loom_coordinator.db import streams
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.lifecycle import partitions as partitions_of_runs
from loom_coordinator.lifecycle import slices as slices_of_runs
from loom_coordinator.lifecycle import stream_windows
from loom_coordinator.lifecycle.stream_windows import START
from support.run_rows import DEFINITION, NOW, apply, run_columns, run_state, the_run

STREAM = "stream_0123456789ab"
NEXT = {"page": 1, "record": 0, "state": None}
LOOKED_AT = {"checks": [], "columns": []}
NO_TEMPLATE = ("run_id", "plan", "execution_date", "started_at", "status", "epoch", "finalizing")


@asynccontextmanager
async def first_window() -> AsyncIterator[UnitOfWork]:
    """Yield the state of a stream whose window 1 has asked for its first slice. Its windows close after ten records, or
    a minute."""
    async with run_state(run_id=first(), stream=STREAM, stream_window=1, preflight=LOOKED_AT) as unit:
        row = run_columns(definition=DEFINITION)
        template = {name: value for name, value in row.items() if name not in NO_TEMPLATE}
        await streams.enter(
            unit,
            {
                "stream_id": STREAM, "pipeline_name": "p", "source": "in", "state": streams.RUNNING, "opened_at": NOW,
                "number": 1, "closed": False, "plan": "plan", "template": template, "every": 60.0, "records": 10,
            },
        )  # fmt: skip
        await partitions_of_runs.begin(unit, first(), 10, Piece(start=START, whole_keys=True))
        await slices_of_runs.release(unit, await the_run(unit, first()))
        yield unit


def first() -> str:
    return window_run_id(STREAM, 1)


def answer(number: int = 0, records: int = 0, cursor: object = START, **more: object) -> SliceExtracted:
    """Return the fact that slice `number` of window 1 was read."""
    made = (SlicedBatch(batch_id=batch_id(first(), 0, number, 0), position=0, tally=Tally(extracted=records)),)
    return SliceExtracted(
        run_id=first(), pipeline="p", epoch=1, partition=0, slice=number, batches=made if records else (),
        cursor=cursor, end=False, **more,
    )  # fmt: skip


def loaded(number: int) -> BatchFact:
    """Return the fact that the batch of a slice of window 1 has ended."""
    header = BatchHeader(
        run_id=first(), pipeline="p", plan="plan", epoch=1, batch_id=batch_id(first(), 0, number, 0), partition=0,
        slice=number, position=0, tally=Tally(extracted=3, transformed=3, passed=3, loaded=3),
    )  # fmt: skip
    return BatchFact(header=header, stage=Stage.LOAD, seconds=0.1)


async def take(unit: UnitOfWork, fact: SliceExtracted) -> None:
    await apply(unit, fact)
    await stream_windows.answered(unit, await the_run(unit, first()), fact)


async def opened(unit: UnitOfWork) -> list[int]:
    query = select(pipeline_runs.c.stream_window).order_by(pipeline_runs.c.stream_window)
    return list((await unit.connection.execute(query)).scalars())


async def rows(unit: UnitOfWork, table: Table) -> int:
    return (await unit.connection.execute(select(func.count()).select_from(table))).scalar_one()
