"""Each of the six services killed with SIGKILL in the middle of a run, and started again."""

from __future__ import annotations

import asyncio
import random

import pytest

from loom.config import LoomConfig
from loom.session import open_session
from support.books import assert_complete
from support.clients import ended, request_of
from support.cluster import MODEL_CALLS_AT_ONCE, NAMES
from support.projects import ai, project, review_ids

RECORDS = 160


@pytest.mark.parametrize("service", NAMES)
async def test_a_run_outlives_a_killed(service, cluster, model):
    """The records that stop no one come through once, the model is asked again at most for what was in flight."""
    chance = random.Random(service)
    made = project(
        cluster.project / f"killed-{service}",
        RECORDS,
        name=f"killed_{service}",
        transform=ai(model.base_url, cache={"enabled": False}),
        destination=f"${{RESULTS}}?table=killed_{service}",
        extract={"batch_size": 10},
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    moment = chance.randrange(RECORDS // 8, RECORDS * 3 // 4)

    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with asyncio.timeout(60):
            while model.calls < moment:
                await asyncio.sleep(0.01)
        cluster.kill(service)
        await cluster.serve()
        async with asyncio.timeout(60):
            finished = await ended(session, accepted.run_id)

    assert_complete(finished.report.model_dump(), await made.loaded(cluster.credentials), review_ids(RECORDS))
    assert model.calls <= RECORDS + (MODEL_CALLS_AT_ONCE if service == "transformer" else 0)
