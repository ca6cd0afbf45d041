"""A destination that is slow slows the extractor down; what waits, waits in the source and not in the broker."""

import asyncio

import asyncpg
import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunFinished, RunProgress
from loom_common.flow import Stage, work_queue
from loom_common.service.bootstrap import open_bus
from loom_coordinator.flow_control import windows
from support.books import assert_complete
from support.clients import request_of
from support.projects import project, review_ids

BATCH_SIZE = 1_000
BATCHES = 40
WINDOW = windows.full_window(windows.slice_batches(BATCH_SIZE))
# One batch after the other, so that the destination is the slowest part on any machine.
SLOW_TABLE = """
CREATE TABLE slow (id text PRIMARY KEY, review text, stars text);
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(1), pg_sleep(0.4); RETURN NULL; END';
CREATE TRIGGER dawdling BEFORE INSERT ON slow FOR EACH STATEMENT EXECUTE FUNCTION dawdle();
"""


@pytest.fixture
async def slow_destination(cluster):
    connection = await asyncpg.connect(cluster.state_url)
    await connection.execute(SLOW_TABLE)
    yield "${RESULTS}?table=slow"
    await connection.execute("DROP TABLE slow; DROP FUNCTION dawdle")
    await connection.close()


async def watch(cluster, seen: list[int]) -> None:
    """Count how many messages wait in all work queues together, again and again."""
    bus = await open_bus(cluster.settings, "watching")
    try:
        while True:
            seen.append(sum([await bus.depth(work_queue(stage)) for stage in Stage]))
            await asyncio.sleep(0.02)
    finally:
        await bus.close()


async def test_the_broker_never_holds_more_than_the_window(cluster, slow_destination):
    made = project(
        cluster.project / "slow",
        BATCH_SIZE * BATCHES,
        name="slow",
        destination=slow_destination,
        extract={"batch_size": BATCH_SIZE},
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    depths: list[int] = []
    in_flight: list[int] = []
    watching = asyncio.create_task(watch(cluster, depths))
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        async for event in session.follow(run_id):
            if isinstance(event, RunProgress):
                in_flight.append(event.tally.underway // BATCH_SIZE)
    assert isinstance(event, RunFinished)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)

    assert max(depths) <= WINDOW, depths
    assert max(in_flight) <= WINDOW, in_flight
    assert max(in_flight) > WINDOW // 3, "the destination was not slow enough to tell anything"
    assert max(in_flight) < BATCHES
    rows = await made.loaded(cluster.credentials)
    assert_complete(event.report.model_dump(), rows, review_ids(BATCH_SIZE * BATCHES))
