"""A replica that starts after a run was cancelled hears of it all the same."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from structlog.testing import capture_logs

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.v1 import RunEpoch
from loom_common.ports.clock import SystemClock
from loom_common.service.control import epochs_at_start
from loom_common.service.control.channel import ControlChannel
from loom_common.service.control.epochs_at_start import EpochsAtStart
from loom_common.worker.epoch_guard import EpochGuard
from loom_coordinator.db import run_rows
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables import metadata
from loom_coordinator.db.tables.runs import pipeline_runs, pipelines
from loom_coordinator.db.unit_of_work import begin
from loom_coordinator.flow_control.batch_progress import UnderWay
from loom_coordinator.sweeping import epochs, sweeper
from loom_coordinator.sweeping.epoch_answers import EpochAnswers
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


async def add(
    engine, run_id: str, *, epoch: int, status: str, ended: dt.datetime | None = None, began: dt.datetime = NOW
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            pipeline_runs.insert().values(
                run_id=run_id, pipeline_name="p", pipeline_version="1", execution_date=NOW, started_at=began,
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


async def test_a_replica_that_starts_is_told_of_runs_that_ended_within_a_week(engine, monkeypatch):
    await add(engine, "never_raised", epoch=1, status=run_rows.RUNNING)
    await add(engine, "paused", epoch=2, status=run_rows.PAUSED)
    await add(engine, "long_over", epoch=2, status=run_rows.CANCELLED, ended=NOW - dt.timedelta(days=6))
    await add(engine, "older", epoch=2, status=run_rows.CANCELLED, ended=NOW - dt.timedelta(days=8))
    await add(engine, "newest", epoch=4, status=run_rows.RUNNING, began=NOW + dt.timedelta(seconds=1))

    async with begin(engine, NOW, None) as unit:
        assert await epochs.at_start(unit) == {"paused": 2, "long_over": 2, "newest": 4}
        monkeypatch.setattr(epochs, "MOST_AT_START", 1)
        assert await epochs.at_start(unit) == {"newest": 4}


class Replica:
    """Represents a replica that starts. What it has learned is in `guard`."""

    def __init__(self, bus: MemoryBus, service: str = "transformer") -> None:
        self.control = ControlChannel(bus, service)
        self.guard = EpochGuard()
        self.asking = EpochsAtStart(service, bus, self.control, self.guard)

    async def learn(self, stop: asyncio.Event) -> None:
        following = asyncio.create_task(self.control.follow())
        try:
            async with within(10):
                await self.asking.learn(stop)
        finally:
            await self.control.stop()
            await following

    def knows(self, run_id: str, epoch: int) -> bool:
        """Tell whether a message of an epoch before this one is dropped, and one of it is not."""
        told = [RunEpoch(run_id=run_id, epoch=each) for each in (epoch - 1, epoch)]
        return [self.guard.stale(each) for each in told] == [True, False]


@pytest.fixture
async def bus():
    bus = MemoryBus()
    await bus.declare(flow.TOPOLOGY)
    yield bus
    await bus.close()


async def test_replicas_that_start_at_the_same_time_as_a_coordinator_are_told(engine, bus):
    clock, stop = SystemClock(), asyncio.Event()
    await add(engine, "cancelled", epoch=2, status=run_rows.CANCELLED, ended=clock.now())
    replicas = [Replica(bus, service) for service in ("transformer", "transformer", "loader")]
    learning = [asyncio.create_task(each.learn(stop)) for each in replicas]
    await asyncio.sleep(0)
    answering = asyncio.create_task(EpochAnswers(bus, OutboxRelay(engine, bus, clock, None)).run(stop))
    try:
        await asyncio.gather(*learning)
    finally:
        stop.set()
        await answering
    assert all(each.knows("cancelled", 2) for each in replicas)


async def test_a_replica_goes_on_where_nobody_answers_and_at_once_where_it_is_to_stop(bus, monkeypatch):
    monkeypatch.setattr(epochs_at_start, "WAIT_SECONDS", 0.05)
    with capture_logs() as said:
        await Replica(bus).learn(asyncio.Event())
    assert [each["waited_s"] for each in said if "no coordinator" in each["event"]] == [0.05]
    monkeypatch.setattr(epochs_at_start, "WAIT_SECONDS", 3600.0)
    stop = asyncio.Event()
    stop.set()
    await Replica(bus).learn(stop)


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
