"""Tests each of the six services killed with SIGKILL in the middle of a run, and started again."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_dev.waiting import within
from support.books import assert_complete
from support.clients import ended, request_of
from support.cluster import MODEL_CALLS_AT_ONCE, NAMES
from support.length import LONG
from support.projects import ai, project, review_ids

RECORDS = 160
JUDGED = {"evaluators": [{"type": "length", "field": "mood", "min": 1, "threshold": 1.0}]}
"""Passes every record. Without it no batch would visit the evaluator."""
REDELIVERED_SECONDS = 25.0
"""Messages in flight must be delivered again at once, and not only when a sweep finds them."""


@pytest.mark.parametrize("attempt", range(3 if LONG else 1))
@pytest.mark.parametrize("service", NAMES)
async def test_a_run_outlives_a_killed(service, attempt, cluster, model):
    """Every record comes through once; the model is asked again at most for what was in flight."""
    chance = random.Random(f"{service} {attempt}")
    name = f"killed_{service}_{attempt}"
    made = project(
        cluster.project / name,
        RECORDS,
        name=name,
        transform=ai(model.base_url, cache={"enabled": False}),
        evaluate=JUDGED if service == "evaluator" else None,
        destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": 10},
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    moment = chance.randrange(RECORDS // 8, RECORDS * 3 // 4)

    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with within(60):
            while model.calls < moment:
                await asyncio.sleep(0.01)
        cluster.kill(service)
        await cluster.serve()
        async with within(REDELIVERED_SECONDS):
            finished = await ended(session, accepted.run_id)

    assert_complete(finished.report.model_dump(), await made.loaded(cluster.credentials), review_ids(RECORDS))
    print(f"{model.calls} calls for {RECORDS} records")
    assert model.calls <= RECORDS + (MODEL_CALLS_AT_ONCE if service == "transformer" else 0)


async def test_a_loader_killed_the_instant_a_batch_is_in_the_destination_does_not_load_it_again(cluster):
    """Kill in the milliseconds between the destination's commit and the acknowledgement."""
    table = "killed_at_commit"
    made = project(
        cluster.project / table, 2000, name=table, destination=f"${{RESULTS}}?table={table}", extract={"batch_size": 10}
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    watching = await asyncpg.connect(cluster.state_url)
    await watching.execute(f"CREATE TABLE {table} (id text PRIMARY KEY, review text, stars text)")
    rows = await watching.prepare(f"SELECT count(*) FROM {table}")

    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with within(60):
            while not await rows.fetchval():
                pass
        cluster.kill("loader")
        assert await rows.fetchval() < 2000
        await cluster.serve()
        finished = await ended(session, accepted.run_id)
    await watching.close()

    assert_complete(finished.report.model_dump(), await made.loaded(cluster.credentials), review_ids(2000))
