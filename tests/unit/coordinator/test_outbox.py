"""Tests what a coordinator publishes: what it has committed, in this order, and what another one has left behind."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select

from loom_common import flow
from loom_common.adapters.memory.bus import MemoryBus
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunEpoch
from loom_common.errors import DependencyUnavailable
from loom_common.flow import Binding, Exchange, Topology
from loom_common.ports.clock import SystemClock
from loom_coordinator.db import outbox_relay
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.work import outbox
from loom_coordinator.db.unit_of_work import begin
from loom_dev.waiting import INTERVAL, within
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


class FlakyBus(MemoryBus):
    """Is away when something is published for the first time."""

    refused = 0

    async def publish(self, messages) -> None:
        if not self.refused:
            self.refused += 1
            raise DependencyUnavailable("The broker is away.")
        await super().publish(messages)


@asynccontextmanager
async def relaying(state, owner, bus=None):
    """Give a relay that runs, and what is published."""
    bus, stop = bus or MemoryBus(), asyncio.Event()
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


async def rows(state):
    async with state.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(outbox))


async def leave_behind(state, epoch, *, seconds_ago):
    """Commit a message as a coordinator does that ends before it is published."""
    async with begin(state, SystemClock().now() - dt.timedelta(seconds=seconds_ago), None) as unit:
        unit.send(told(epoch))


async def epochs(heard, count):
    found = []
    for _ in range(count):
        delivery = await asyncio.wait_for(anext(heard), 30)
        found.append(delivery.headers["loom-epoch"])
        await delivery.ack()
    return found


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


@pytest.mark.parametrize(("owner", "written"), [(ENGINE, 0), (None, 1)])
async def test_only_a_cluster_writes_what_it_sends_into_the_database(state, owner, written):
    relay = OutboxRelay(state, MemoryBus(), SystemClock(), owner)
    async with relay.unit() as unit:
        unit.send(told(1))
    assert await rows(state) == written


async def test_the_row_of_what_was_published_is_removed_and_not_published_again(state):
    async with relaying(state, None) as (relay, heard):
        async with relay.unit() as unit:
            unit.send(told(1))
        assert await epochs(heard, 1) == [1]
        async with within(10):
            while await rows(state):
                await asyncio.sleep(INTERVAL)
        async with relay.unit() as unit:
            unit.send(told(2))
        assert await epochs(heard, 1) == [2]


@pytest.mark.parametrize("owner", [ENGINE, None])
async def test_what_the_broker_did_not_take_is_published_once_it_is_back(state, owner):
    async with relaying(state, owner, FlakyBus()) as (relay, heard):
        async with relay.unit() as unit:
            unit.send(told(1))
        async with relay.unit() as unit:
            unit.send(told(2))
        assert await epochs(heard, 2) == [1, 2]


async def test_what_another_coordinator_left_behind_is_published_and_removed(state):
    await leave_behind(state, 1, seconds_ago=60)
    async with relaying(state, None) as (_, heard):
        assert await epochs(heard, 1) == [1]
    assert await rows(state) == 0


async def test_all_that_was_left_behind_is_published_at_one_look_in_its_order(state):
    count = outbox_relay._GROUP + 5
    for epoch in range(1, count + 1):
        await leave_behind(state, epoch, seconds_ago=60 + epoch % 7)
    async with relaying(state, None) as (relay, heard):
        async with within(30):
            while not relay._looks_at:
                await asyncio.sleep(INTERVAL)
        assert await rows(state) == 0
        assert await epochs(heard, count) == list(range(1, count + 1))


async def test_the_row_of_what_was_published_last_is_removed_when_the_coordinator_ends(state):
    async with relaying(state, None) as (relay, heard):
        async with within(10):
            while not relay._looks_at:
                await asyncio.sleep(INTERVAL)
        async with relay.unit() as unit:
            unit.send(told(1))
        assert await epochs(heard, 1) == [1]
        assert await rows(state) == 1
    assert await rows(state) == 0


async def test_what_another_coordinator_is_about_to_publish_is_left_to_it(state):
    await leave_behind(state, 1, seconds_ago=-60)
    await leave_behind(state, 2, seconds_ago=60)
    async with relaying(state, None) as (_, heard):
        assert await epochs(heard, 1) == [2]
    assert await rows(state) == 1
