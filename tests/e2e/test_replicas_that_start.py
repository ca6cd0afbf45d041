"""Tests that a replica knows which runs have ended before it takes work, and takes work where nobody can tell it."""

from __future__ import annotations

import asyncio

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.flow import Stage, work_queue
from loom_common.service.bootstrap import open_bus
from loom_dev.cluster.services import missing
from loom_dev.waiting import within
from support.books import assert_complete
from support.clients import ended, request_of, settles
from support.cluster import NAMES
from support.projects import ai, project, review_ids

RECORDS = 200
EARLIER = """
from loom_coordinator.sweeping.epoch_answers import EpochAnswers

async def run(self, stop):
    await stop.wait()

EpochAnswers.run = run
"""
"""Makes a coordinator one of an earlier version, which knows nothing of the question of a replica that starts."""
QUEUE = work_queue(Stage.TRANSFORM)


async def test_batches_of_a_run_that_was_cancelled_long_before_a_replica_started_cost_no_call(cluster, model):
    made = project(
        cluster.project / "cancelled_before",
        RECORDS,
        name="cancelled_before",
        transform=ai(model.base_url, cache={"enabled": False}),
        destination="${RESULTS}?table=cancelled_before",
        extract={"batch_size": 5},
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    bus = await open_bus(cluster.settings, "test")
    try:
        await cluster.terminate("transformer")
        async with open_session(config, cluster=True) as session:
            run_id = (await session.start(request_of(made, config))).run_id
            async with within(30):
                while await bus.depth(QUEUE) < 10:
                    await asyncio.sleep(0.05)
            await session.cancel(run_id)
            await ended(session, run_id)
            # The epochs of runs that have ended long ago are not broadcast any more.
            await cluster.rows(
                "UPDATE pipeline_runs SET completed_at = completed_at - interval '1 day' WHERE run_id = $1", run_id
            )
            await cluster.serve()
            await settles(lambda: bus.depth(QUEUE), 0)
            assert model.calls == 0
            assert (await session.resume(run_id)).status == "running"
            report = (await ended(session, run_id)).report.model_dump()
    finally:
        await cluster.serve()
        await bus.close()
    assert_complete(report, await made.loaded(cluster.credentials), review_ids(RECORDS))
    assert model.calls == RECORDS


async def test_a_replica_that_finds_no_coordinator_says_so_and_takes_work(cluster):
    cluster.kill("coordinator")
    await cluster.terminate("transformer")
    cluster.begin("transformer")
    try:
        async with within(30):
            while await missing(cluster.bus_url, dict.fromkeys(NAMES, 1) | {"coordinator": 0}):
                await asyncio.sleep(0.05)
        assert "no coordinator says which runs have ended" in cluster.words("transformer")
    finally:
        await cluster.serve()


async def test_a_replica_beside_a_coordinator_of_an_earlier_version_says_so_and_works(cluster, model):
    made = project(
        cluster.project / "earlier",
        RECORDS,
        name="earlier",
        transform=ai(model.base_url, cache={"enabled": False}),
        destination="${RESULTS}?table=earlier",
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    cluster.kill("coordinator")
    await cluster.terminate("transformer")
    cluster.forget_troubles()
    cluster.begin("coordinator", first=EARLIER)
    cluster.begin("transformer")
    try:
        async with open_session(config, cluster=True) as session, within(60, "the end of the run"):
            report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
        assert "no coordinator says which runs have ended" in cluster.words("transformer")
    finally:
        cluster.kill("coordinator")
        await cluster.serve()
        cluster.forget_troubles()
    assert_complete(report.model_dump(), await made.loaded(cluster.credentials), review_ids(RECORDS))
    assert model.calls == RECORDS
