"""A replica that starts after a run was cancelled hears of it all the same."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.v1 import RunEpoch
from loom_common.ports.clock import SystemClock
from loom_coordinator.db import run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables import metadata
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.db.unit_of_work import begin
from loom_coordinator.flow_control.batch_progress import UnderWay
from loom_coordinator.sweeping import epochs, sweeper
from loom_dev.waiting import within
from loom_migrations.engine import open_engine

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture
async def engine(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/loom.db")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        named = {"name": "p", "version": "1", "definition": {}, "files": {}, "base": ""}
        await connection.execute(pipelines.insert().values(**named, created_at=NOW, updated_at=NOW))
    yield engine
    await engine.dispose()


async def add(engine, run_id: str, *, epoch: int, status: str, ended: dt.datetime | None = None) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            pipeline_runs.insert().values(
                run_id=run_id, pipeline_name="p", pipeline_version="1", execution_date=NOW, started_at=NOW,
                completed_at=ended, status=status, plan="plan", definition={}, params={}, destination="out.csv",
                epoch=epoch, priority=5, slice_batches=2, credit_window=4,
            )
        )  # fmt: skip


async def test_what_may_still_wait_somewhere_is_said_again(engine):
    await add(engine, "never_raised", epoch=1, status=run_rows.RUNNING)
    await add(engine, "resumed", epoch=3, status=run_rows.RUNNING)
    await add(engine, "paused", epoch=2, status=run_rows.PAUSED)
    await add(engine, "cancelled", epoch=2, status=run_rows.CANCELLED, ended=NOW - dt.timedelta(minutes=19))
    await add(engine, "long_over", epoch=2, status=run_rows.CANCELLED, ended=NOW - dt.timedelta(minutes=21))

    async with begin(engine, NOW, None) as unit:
        said = {each.run_id: each.epoch for each in await epochs.raised(unit)}

    assert said == {"resumed": 3, "paused": 2, "cancelled": 2}


async def test_the_sweeper_broadcasts_it_again_for_replicas_that_started_later(engine, monkeypatch):
    monkeypatch.setattr(sweeper, "SWEEP_SECONDS", 0.0)
    clock, bus, stop = SystemClock(), MemoryBus(), asyncio.Event()
    await bus.declare(flow.TOPOLOGY)
    await add(engine, "cancelled", epoch=2, status=run_rows.CANCELLED, ended=clock.now())
    late = await bus.subscribe(
        await bus.temporary_queue([flow.Binding(flow.Exchange.CONTROL, "control.all")]), prefetch=1
    )
    beating = asyncio.create_task(
        sweeper.Sweeper(bus, OutboxRelay(engine, bus, clock, None), clock, None, UnderWay(bus)).run(stop)
    )
    try:
        async with within(10):
            heard = decode(await anext(aiter(late)), RunEpoch)
    finally:
        stop.set()
        await beating
        await bus.close()
    assert (heard.run_id, heard.epoch) == ("cancelled", 2)
