"""Makes rows of `pipeline_runs` and `Run` values for tests that need no run of a pipeline."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from loom_common.async_engine import AsyncEngine
from loom_common.contracts.envelope import Message
from loom_coordinator.accounting import batches
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.run_totals import RunTotals
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.db.unit_of_work import UnitOfWork, begin
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade

M = TypeVar("M", bound=Message)

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def run_columns(**changed: Any) -> dict[str, Any]:
    """Return the columns that the row of a run that has just begun must have; `changed` are set besides."""
    return {
        "run_id": "run_1",
        "pipeline_name": "p",
        "pipeline_version": "1",
        "execution_date": NOW,
        "started_at": NOW,
        "status": run_rows.RUNNING,
        "plan": "plan",
        "definition": {},
        "params": {},
        "destination": "out.csv",
        "epoch": 1,
        "priority": 5,
        "slice_batches": 2,
        "credit_window": 4,
        "finalizing": False,
        **changed,
    }


def a_run(**changed: Any) -> Run:
    """Return a run that has just begun, with the fields in `changed` set otherwise."""
    counts = dict.fromkeys(("records_processed", "records_validated", "records_rejected"), 0)
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(Run))
    return Run(**{**nothing, **counts, "totals": RunTotals(), **run_columns(**changed)})


BEGINNING = {"name": "p", "version": "1", "definition": {}, "files": {}, "base": ""}
DEFINITION = {
    "name": "p",
    "version": "1",
    "extract": {"source": "in.csv"},
    "transform": {"type": "python", "function": "f:f"},
    "load": {"destination": "out.csv"},
}
"""Holds a pipeline without evaluation, as its file would say it."""


@asynccontextmanager
async def run_state(**changed: Any) -> AsyncIterator[UnitOfWork]:
    """Open a transaction on an empty state database in memory in which one run has begun, with `changed` columns."""
    engine = open_engine("sqlite:///:memory:")
    try:
        await upgrade(engine)
        async with begun_run(engine, **changed) as unit:
            yield unit
    finally:
        await engine.dispose()


@asynccontextmanager
async def begun_run(engine: AsyncEngine, **changed: Any) -> AsyncIterator[UnitOfWork]:
    """Open a transaction on a state database with empty tables in which one run has begun, with `changed` columns."""
    async with begin(engine, NOW, None) as unit:
        await unit.connection.execute(pipelines.insert().values(**BEGINNING, created_at=NOW, updated_at=NOW))
        await add_run(unit, **changed)
        yield unit


async def add_run(unit: UnitOfWork, **changed: Any) -> Run:
    """Return another run of the pipeline."""
    columns = run_columns(**{"definition": DEFINITION, **changed})
    await unit.connection.execute(pipeline_runs.insert().values(**columns))
    return await the_run(unit, columns["run_id"])


async def the_run(unit: UnitOfWork, run_id: str = "run_1") -> Run:
    """Return the run as its row stands now."""
    found = await run_rows.find(unit.connection, run_id)
    assert found is not None
    return found


async def apply(unit: UnitOfWork, *facts: batches.Fact) -> None:
    """Bring batches up to date with facts, under the locks of their runs."""
    runs = await run_rows.lock(unit, {fact.correlation_id for fact in facts})
    await batches.apply(unit, runs, facts)


def sent(unit: UnitOfWork, kind: type[M]) -> list[M]:
    """Return the messages of one kind that the transaction sends, in order."""
    return [each.message for each in unit._outgoing if isinstance(each.message, kind)]
