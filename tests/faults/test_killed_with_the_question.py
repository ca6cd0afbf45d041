"""Tests that a run on a cluster begins, or is refused, once where a service is killed that was asked whether it may."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_dev.waiting import within
from support.books import assert_complete
from support.clients import ended, request_of
from support.projects import project, review_ids

ANSWERED = "SELECT slice FROM slices WHERE run_id = $1 AND slice IN (-2, -3) AND state = 'extracted'"


@pytest.mark.parametrize(
    ("frozen", "killed", "fits"),
    [("extractor", "extractor", True), ("loader", "loader", False), ("loader", "coordinator", True)],
)
@pytest.mark.timeout(200)
async def test_a_run_begins_or_is_refused_once_whoever_is_killed_with_the_question(cluster, frozen, killed, fits):
    name = f"asked_{frozen}_{killed}"
    made = project(cluster.project / name, 50, name=name, destination=f"${{RESULTS}}?table={name}")
    stars = ", stars text" if fits else ""
    await cluster.rows(f"CREATE TABLE {name} (id text PRIMARY KEY, review text{stars})")
    os.kill(cluster.pid(frozen), signal.SIGSTOP)
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with within(120), open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        while not await cluster.rows(ANSWERED, run_id):
            await asyncio.sleep(0.02)
        cluster.kill(killed)
        await cluster.serve()
        os.kill(cluster.pid(frozen), signal.SIGCONT)
        report = (await ended(session, run_id)).report
    assert len(await cluster.rows(ANSWERED, run_id)) == (2 if fits else 0)
    if fits:
        assert_complete(report.model_dump(), await made.loaded(cluster.credentials), review_ids(50))
    else:
        assert (report.status, report.records["extracted"]) == ("failed", 0)
        assert str(report.error).count("has no column 'stars'") == 1
