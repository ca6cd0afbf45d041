"""Tests the fleet on a real broker: beats are written down by every coordinator, limits are found once and told to
all."""

import asyncio
import datetime as dt
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select

from loom.engine import prepare
from loom_common.config.settings import (
    BusSettings,
    JournalSettings,
    PayloadSettings,
    Settings,
    StateSettings,
    WorkerSettings,
)
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchExtracted
from loom_common.flow import TOPOLOGY, Stage, work, work_queue
from loom_common.ports.clock import SystemClock
from loom_common.service.bootstrap import Platform, open_platform
from loom_common.service.heartbeats import Heartbeats, beating
from loom_common.service.stage_service import StageService
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.monitoring import prefetch_limits, replicas
from loom_coordinator.db.unit_of_work import begin
from loom_coordinator.flow_control import fleet_load
from loom_coordinator.flow_control.heartbeats import Fleet
from loom_coordinator.flow_control.prefetch_loop import PrefetchLoop, set_by_hand, set_free
from loom_dev.waiting import within
from loom_migrations.engine import open_engine
from support.plans import batch_of, plan_of

QUEUE = work_queue(Stage.TRANSFORM)
CONFIGURED = 2
WITHIN = 60.0


@pytest.fixture
async def settings(amqp_url, postgres_url, tmp_path):
    url = SecretStr(postgres_url)
    settings = Settings(
        project_dir=tmp_path,
        bus=BusSettings(url=SecretStr(amqp_url)),
        state=StateSettings(url=url),
        journal=JournalSettings(url=url),
        payloads=PayloadSettings(url=url),
        worker=WorkerSettings(prefetch=CONFIGURED, drain_seconds=0),
    )
    await prepare(settings)
    async with open_platform(settings, "test") as platform:
        await platform.bus.declare(TOPOLOGY)
        yield settings


@pytest.fixture
async def engine(settings):
    engine = open_engine(settings.state.url.get_secret_value())
    yield engine
    await engine.dispose()


@asynccontextmanager
async def running(*services):
    """Run the replicas until the block ends."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for service in services:
            tasks.create_task(service.run(stop))
        try:
            yield
        finally:
            stop.set()


@asynccontextmanager
async def coordinator(settings):
    """Run as much of a coordinator as manages the replicas."""
    engine = open_engine(settings.state.url.get_secret_value())
    async with open_platform(settings, "coordinator") as platform:
        outbox = OutboxRelay(engine, platform.bus, platform.clock, None)
        async with running(Fleet(platform.bus, outbox), PrefetchLoop(platform.bus, outbox)):
            yield
    await engine.dispose()


@asynccontextmanager
async def transformer(settings, seconds: float = 0.3):
    """Run a replica that takes its time for each batch, and give its platform."""

    async def dawdle(_, __):
        await asyncio.sleep(seconds)
        return ()

    async with open_platform(settings, "transformer") as platform:
        service = StageService(
            "transformer",
            [ConsumerSpec(QUEUE, (Accepts(BatchExtracted, dawdle, router.nothing),), CONFIGURED)],
            platform,
        )
        heartbeats = Heartbeats(
            "transformer",
            platform.bus,
            platform.stats,
            platform.breakers,
            platform.clock,
            asyncio.Event(),
            configured_prefetch=CONFIGURED,
        )
        async with beating(heartbeats), running(service):
            yield platform


async def work_for_the_stage(platform: Platform, batches: int) -> None:
    batch = batch_of(plan_of({"type": "passthrough"}), [{"a": 1}])
    await platform.bus.publish([encode(Outgoing(work(Stage.TRANSFORM, "reviews"), batch), "test")] * batches)


async def eventually(condition):
    async with within(WITHIN):
        while not (found := await condition()):
            await asyncio.sleep(0.25)  # replicas say every 2 s how they are: asking more often takes half a processor
    return found


async def limit_of(engine, queue=QUEUE):
    async with engine.connect() as connection:
        rows = await connection.execute(select(prefetch_limits).where(prefetch_limits.c.queue == queue))
        return rows.mappings().one_or_none()


async def fleet(engine):
    async with engine.connect() as connection:
        return await fleet_load.read(connection, SystemClock().now())


async def test_two_coordinators_write_down_the_same_replicas(settings, engine):
    async with coordinator(settings), coordinator(settings), transformer(settings), transformer(settings):

        async def both():
            known = [each for each in await fleet(engine) if each.before]
            return known if len(known) == 2 else None

        known = await eventually(both)
    assert {each.beat.service for each in known} == {"transformer"}
    assert all(each.beat.queues[0].queue == QUEUE and each.up for each in known)
    assert fleet_load.loads(known)[QUEUE].replicas == 2


async def test_a_stage_for_which_work_waits_is_given_more_and_every_replica_learns_it(settings, engine):
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(coordinator(settings))
        first = await stack.enter_async_context(transformer(settings))
        await work_for_the_stage(first, 1000)

        async def raised():
            row = await limit_of(engine)
            return row if row and row["prefetch"] > CONFIGURED else None

        row = await eventually(raised)
        assert row["reason"].endswith("messages wait and every replica has its limit in flight")
        assert (row["by_hand"], row["service"]) == (False, "transformer")

        async def applied():
            return first.bus.standing().prefetch(QUEUE) > CONFIGURED

        await eventually(applied)
        second = await stack.enter_async_context(transformer(settings))

        async def learned():
            return second.bus.standing().prefetch(QUEUE) > CONFIGURED

        await eventually(learned)


async def test_a_limit_set_by_hand_stays_whatever_waits(settings, engine):
    async with coordinator(settings), transformer(settings) as replica:
        await work_for_the_stage(replica, 1000)
        async with begin(engine, SystemClock().now(), None) as unit:
            await set_by_hand(unit, QUEUE, 1)

        async def applied():
            return replica.bus.standing().prefetch(QUEUE) == 1

        await eventually(applied)

        async def full_and_told():
            """By now the coordinator has seen several times that the limit is reached."""
            [known] = await fleet(engine) or [None]
            return known and known.before and known.beat.uptime > 12

        await eventually(full_and_told)
        row = await limit_of(engine)
        assert (row["prefetch"], row["by_hand"]) == (1, True)

        async with begin(engine, SystemClock().now(), None) as unit:
            await set_free(unit, QUEUE)

        async def found():
            row = await limit_of(engine)
            return row["prefetch"] > 1 and not row["by_hand"]

        await eventually(found)


async def test_who_was_silent_for_a_minute_is_forgotten(settings, engine):
    async with coordinator(settings), transformer(settings):

        async def seen():
            return await fleet(engine)

        [known] = await eventually(seen)
        long_ago = SystemClock().now() - dt.timedelta(seconds=61)
        beat = known.beat.model_copy(update={"replica": "gone"}).model_dump(mode="json")
        async with engine.begin() as connection:
            await connection.execute(
                insert(replicas).values(replica="gone", service="loader", seen_at=long_ago, beat=beat)
            )

        async def gone():
            return [each.beat.replica for each in await fleet(engine)] == [known.beat.replica]

        await eventually(gone)
