"""Tests that a window of a stream costs what the first ones cost, however many windows were before it. What is counted
does not depend on how busy the machine is: statements, and the steps that SQLite takes for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.engine import Engine

from loom_common.contracts.v1 import BatchFact, BatchHeader, LoadFinalized, RunFinished, SlicedBatch, SliceExtracted
from loom_common.domain.run.calls import Calls
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id, window_run_id
from loom_common.flow import Stage
from loom_coordinator.db import streams
from loom_coordinator.db.tables.outcomes import pipeline_costs
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle import partitions, slices
from loom_coordinator.lifecycle.stream_windows import START
from loom_coordinator.lifecycle.streams.compaction import COMPACTED_TOGETHER, KEPT_WHOLE
from support.run_rows import DEFINITION, NOW, run_columns, run_state, sent, the_run

STREAM = "stream_0123456789ab"
RECORDS = 10
PAID = 0.25
APPENDING = {**DEFINITION, "load": {"destination": "out.csv", "mode": "append"}}
AT_MOST = 55
"""Says how many statements a window of one batch may take. It was 78 before each row was written once."""
_ROUND = COMPACTED_TOGETHER
"""Says how many windows are compared with as many others: one of them compacts old ones."""
EARLY, LATE = KEPT_WHOLE + _ROUND + 2, KEPT_WHOLE + 7 * _ROUND + 2


@pytest.fixture
async def unit() -> AsyncIterator[UnitOfWork]:
    """Provide a stream whose window 1 has asked for its first slice."""
    known: dict[str, Any] = {"stream": STREAM, "stream_window": 1, "owner": "engine", "definition": APPENDING}
    async with run_state(run_id=window_run_id(STREAM, 1), **known) as unit:
        unit.owner = "engine"
        begun = ("run_id", "plan", "execution_date", "started_at", "status", "epoch", "finalizing", "owner")
        template = {name: value for name, value in run_columns(definition=APPENDING).items() if name not in begun}
        await streams.enter(
            unit,
            {
                "stream_id": STREAM, "pipeline_name": "p", "source": "in", "state": streams.RUNNING, "opened_at": NOW,
                "number": 1, "closed": False, "plan": "plan", "template": template, "every": 60.0, "records": RECORDS,
            },
        )  # fmt: skip
        await partitions.begin(unit, window_run_id(STREAM, 1), RECORDS, Piece(start=START, whole_keys=True))
        await slices.release(unit, await the_run(unit, window_run_id(STREAM, 1)))
        yield unit


@dataclass
class Cost:
    """Counts what a database is asked."""

    statements: int = 0
    steps: int = 0
    """Holds tens of the instructions of SQLite's machine."""


@asynccontextmanager
async def counted(unit: UnitOfWork) -> AsyncIterator[Cost]:
    """Count what is asked within the block."""
    cost = Cost()

    def note(*_: object) -> None:
        cost.statements += 1

    def step() -> int:
        cost.steps += 1
        return 0

    driver = unit.connection.sync_connection.connection.driver_connection
    assert driver is not None
    await driver.set_progress_handler(step, 10)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield cost
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        await driver.set_progress_handler(None, 10)


async def closed(unit: UnitOfWork, number: int) -> None:
    """Let a window be read, loaded, closed and ended, by the facts that say so."""
    run_id = window_run_id(STREAM, number)
    mine = {"run_id": run_id, "pipeline": "p", "epoch": 1}
    batch = batch_id(run_id, 0, 0, 0)
    read = SlicedBatch(batch_id=batch, position=0, tally=Tally(extracted=RECORDS))
    cursor = {"page": number, "record": 0, "state": None}
    whole = Tally(extracted=RECORDS, transformed=RECORDS, passed=RECORDS, unscored=RECORDS, loaded=RECORDS)
    place = {"plan": "plan", "batch_id": batch, "partition": 0, "slice": 0, "position": 0}
    paid = Calls(purpose="transform", provider="openai", model="m", made=RECORDS, cost=PAID)
    await apply_facts.take(
        unit, [SliceExtracted(**mine, partition=0, slice=0, batches=(read,), cursor=cursor, end=False)]
    )
    header = BatchHeader(**mine, **place, tally=whole)
    await apply_facts.take(unit, [BatchFact(header=header, stage=Stage.TRANSFORM, seconds=0.1, calls=(paid,))])
    await apply_facts.take(unit, [BatchFact(header=header, stage=Stage.LOAD, seconds=0.1)])
    await apply_facts.take(unit, [LoadFinalized(run_id=run_id, epoch=1, location="out.csv")])


async def cost_of(unit: UnitOfWork, first: int, last: int) -> Cost:
    """Return what so many windows cost together. Nothing is kept of the messages before."""
    async with counted(unit) as cost:
        for number in range(first, last):
            await closed(unit, number)
    assert {each.report.status for each in sent(unit, RunFinished)} == {"succeeded"}
    unit._outgoing.clear()
    return cost


async def test_a_window_costs_no_more_the_more_windows_were_before_it(unit):
    await cost_of(unit, 1, EARLY)
    early = await cost_of(unit, EARLY, EARLY + _ROUND)
    await cost_of(unit, EARLY + _ROUND, LATE)
    late = await cost_of(unit, LATE, LATE + _ROUND)
    assert early.statements / _ROUND <= AT_MOST
    assert late.statements == early.statements
    assert late.steps <= 1.02 * early.steps, f"{late.steps / early.steps:.2f} times of what it was"


async def test_the_sums_of_a_day_hold_the_windows_that_are_settled_and_those_that_are_not(unit):
    await cost_of(unit, 1, EARLY)
    settled = select(func.count()).where(pipeline_runs.c.settled)
    assert 0 < await unit.connection.scalar(settled) < EARLY - 1
    [day] = (await unit.connection.execute(select(pipeline_costs))).mappings()
    ended = EARLY - 1
    assert (day["total_runs"], day["total_records_processed"]) == (ended, ended * RECORDS)
    assert (day["calls"], float(day["total_cost"])) == (ended * RECORDS, ended * PAID)
    assert day["cost_by_model"] == {"m": ended * PAID}
