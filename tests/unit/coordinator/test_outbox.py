"""Tests what a coordinator publishes: what it has committed, in this order. An embedded engine keeps it in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunEpoch
from loom_common.flow import Binding, Exchange, Topology
from loom_common.ports.clock import SystemClock
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.work import outbox
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade

ENGINE = "engine-1"


def told(epoch: int) -> Outgoing:
    return Outgoing(flow.control("all"), RunEpoch(run_id="run_1", epoch=epoch))


@pytest.fixture
async def state():
    engine = open_engine("sqlite:///:memory:")
    await upgrade(engine)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def relaying(state, owner):
    """Give a relay that runs, and what is published."""
    bus, stop = MemoryBus(), asyncio.Event()
    await bus.declare(Topology(()))
    heard = await bus.subscribe(await bus.temporary_queue([Binding(Exchange.CONTROL, "#")]), prefetch=100)
    relay = OutboxRelay(state, bus, SystemClock(), owner)
    running = asyncio.create_task(relay.run(stop))
    try:
        yield relay, heard
    finally:
        stop.set()
        await running
        await bus.close()


async def epochs(heard, count):
    return [(await asyncio.wait_for(anext(heard), 30)).headers["loom-epoch"] for _ in range(count)]


@pytest.mark.parametrize("owner", [ENGINE, None])
async def test_what_units_send_is_published_in_order(state, owner):
    async with relaying(state, owner) as (relay, heard):
        for first in (1, 3):
            async with relay.unit() as unit:
                unit.send(told(first), told(first + 1))
        assert await epochs(heard, 4) == [1, 2, 3, 4]


@pytest.mark.parametrize("owner", [ENGINE, None])
async def test_what_is_rolled_back_is_not_published(state, owner):
    async with relaying(state, owner) as (relay, heard):
        with pytest.raises(ZeroDivisionError):
            async with relay.unit() as unit:
                unit.send(told(1))
                raise ZeroDivisionError
        async with relay.unit() as unit:
            unit.send(told(2))
        assert await epochs(heard, 1) == [2]


@pytest.mark.parametrize(("owner", "rows"), [(ENGINE, 0), (None, 1)])
async def test_only_a_cluster_writes_what_it_sends_into_the_database(state, owner, rows):
    relay = OutboxRelay(state, MemoryBus(), SystemClock(), owner)
    async with relay.unit() as unit:
        unit.send(told(1))
    async with state.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(outbox)) == rows
