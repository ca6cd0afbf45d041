"""Cancel, pause and resume in the middle of a run: nothing is lost, nothing is loaded twice."""

from __future__ import annotations

import asyncio

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunProgress
from loom_dev.waiting import within
from support.books import assert_balanced, assert_complete
from support.clients import ended, report_of, request_of, until
from support.command import Command, loom, runs
from support.projects import ai, project, review_ids
from support.redeliveries import redelivered

RECORDS = 500


def under_way(progress: RunProgress) -> bool:
    return progress.tally.loaded >= 20


HELD_AFTER = RECORDS // 2
"""The model's calls that are answered before a test has given its command: the run cannot end before it."""


async def settled(config: LoomConfig, run_id: str, made, environ) -> dict:
    """Return the report of an ended run once it counts what is in the destination: batches that were in flight when the
    run was cancelled may still be loaded."""
    async with within(30):
        while True:
            report = await report_of(config, run_id)
            if report["records"]["loaded"] == len(await made.loaded(environ)):
                return report
            await asyncio.sleep(0.1)


@pytest.fixture
def midway(cluster, model, request):
    """Provide a project whose run takes some seconds, in the cluster."""
    name = request.node.name.removeprefix("test_")[:40]
    return project(
        cluster.project / name,
        RECORDS,
        name=name,
        transform=ai(model.base_url, cache={"enabled": False}, timeout="5m"),
        destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": 10},
    )


async def test_cancelled_by_message_then_resumed(cluster, midway, model):
    model.hold_after(HELD_AFTER)
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(midway, config))).run_id
        await until(session, run_id, under_way)

        assert (await session.cancel(run_id)).status == "cancelled"
        model.let_go()
        cancelled = (await ended(session, run_id)).report

        assert (cancelled.status, cancelled.error) == ("cancelled", None)
        report = await settled(config, run_id, midway, cluster.credentials)
        assert_balanced(report)
        assert 20 <= report["records"]["loaded"] < RECORDS
        assert report["records"]["cancelled"] > 0

        assert (await session.resume(run_id)).status == "running"
        finished = await ended(session, run_id)

    assert_complete(finished.report.model_dump(), await midway.loaded(cluster.credentials), review_ids(RECORDS))


async def test_paused_by_message_then_resumed(cluster, midway, model):
    model.hold_after(HELD_AFTER)
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(midway, config))).run_id
        await until(session, run_id, under_way)

        await session.pause(run_id)
        model.let_go()
        events = [event async for event in session.follow(run_id)]
        assert (events[-1].status, (await report_of(config, run_id))["status"]) == ("paused", "paused")

        await session.resume(run_id)
        finished = await ended(session, run_id)

    assert_complete(finished.report.model_dump(), await midway.loaded(cluster.credentials), review_ids(RECORDS))
    assert model.calls == RECORDS


async def test_a_service_that_is_told_to_stop_finishes_what_it_has_in_flight(cluster, midway, model, servers):
    config = LoomConfig.load(cluster.project / "loom.yaml")
    before = await redelivered(servers.rabbitmq, cluster.bus_url)
    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(midway, config))).run_id
        await until(session, run_id, under_way)

        assert await cluster.terminate("transformer") == 0
        await cluster.serve()
        finished = await ended(session, run_id)

    assert_complete(finished.report.model_dump(), await midway.loaded(cluster.credentials), review_ids(RECORDS))
    assert model.calls == RECORDS
    assert await redelivered(servers.rabbitmq, cluster.bus_url) == before


async def test_an_embedded_run_is_cancelled_from_a_second_process_then_resumed(tmp_path, model):
    made = project(
        tmp_path,
        RECORDS,
        transform=ai(model.base_url),
        destination="sqlite:///out.db?table=moods",
        extract={"batch_size": 10},
    )
    environ = {"LOOM_MODELS_CONCURRENCY": "4"}
    running = await Command.begin(made.folder, "run", "pipeline.yaml", "--format", "json", environ=environ)
    assert await running.reach(lambda: model.calls >= 60)
    run_id = runs(made.folder)[-1]
    model.latency = 1.0  # so that the run cannot end before the second process is there

    told = await loom(made.folder, "cancel", run_id)
    model.latency = 0.0
    cancelled = await running.end()

    assert (told.code, cancelled.code) == (0, 4), told.err + cancelled.err
    assert cancelled.report["status"] == "cancelled"
    assert_balanced(cancelled.report)
    assert len(await made.loaded()) < RECORDS

    resumed = await loom(made.folder, "resume", run_id, "--format", "json")
    assert_complete(resumed.report, await made.loaded(), review_ids(RECORDS))
