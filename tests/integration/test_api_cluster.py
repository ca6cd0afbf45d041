"""Runs the API as the service of a cluster, over a real broker and a real database."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sqlalchemy import make_url

from loom_api import service
from loom_api.server import address_of
from loom_common.config.settings import Settings
from loom_common.flow import TOPOLOGY, Exchange
from loom_common.ports.bus import Wire
from loom_common.service.bootstrap import open_platform
from loom_migrations.engine import open_engine
from support.api import RUN, fill
from support.migrated import migrated_database


@pytest.fixture
async def platform(amqp_url, postgres, tmp_path, monkeypatch):
    """Provide the platform of a service whose environment names a cluster with some runs."""
    async with migrated_database(postgres) as state:
        for name, url in {"BUS": amqp_url, "STATE": state, "JOURNAL": state, "PAYLOADS": state}.items():
            monkeypatch.setenv(f"LOOM_{name}_URL", url)
        monkeypatch.setenv("LOOM_API_PORT", "0")
        monkeypatch.chdir(tmp_path)
        engine = open_engine(state)
        try:
            await fill(engine)
        finally:
            await engine.dispose()
        async with open_platform(Settings(), "api") as platform:
            await platform.bus.declare(TOPOLOGY)
            yield platform


async def test_it_answers_for_the_fleet_until_it_is_asked_to_stop(platform):
    await platform.bus.publish([Wire(Exchange.DEAD, "work.p", b"{}", headers={"loom-dead-reason": "no JSON object"})])
    api = service.build(platform)
    stop = asyncio.Event()
    running = asyncio.create_task(api.run(stop))
    async with httpx.AsyncClient(base_url=f"{address_of(api.listening)}/api/v1") as client:
        fleet = (await client.get("/fleet")).json()
        assert {each["service"] for each in fleet["queues"]} >= {"coordinator", "loader"}
        assert (fleet["dead"], fleet["runs"]["failed"]) == (1, 1)
        [letter] = (await client.get("/dead-letters")).json()
        assert letter["reason"] == "no JSON object"
        page = (await client.get(f"{address_of(api.listening)}/fleet")).text
        assert "Scale advice" in page
        assert "no transformer is up" in page
        whole = (await client.get(f"/dead-letters/{letter['id']}")).json()
        assert (whole["body"], whole["reason"]) == ("{}", letter["reason"])
        assert (await client.get("/dead-letters/none")).status_code == 404
        assert (await client.get(f"/runs/{RUN}")).json()["pipeline"] == "p"
        missing = (await client.get("/runs/run_9")).json()["detail"]
        assert missing == "There is no run run_9 here. GET /api/v1/runs lists the runs."
        assert make_url(platform.settings.state.url.get_secret_value()).password not in missing
    stop.set()
    await running
