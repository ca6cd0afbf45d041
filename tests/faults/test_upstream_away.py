"""Tests a model endpoint that goes away in the middle of a run: the run pauses, and goes on by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.contracts.v1 import RunProgress
from loom_dev.backends.ports import reserve_port
from loom_dev.waiting import within
from support.books import assert_complete
from support.clients import ended, request_of, until
from support.cluster import MODEL_CALLS_AT_ONCE
from support.command import Command, runs
from support.projects import ai, at_once, project, review_ids
from support.simulated_model import SimulatedModel

RECORDS = 200
OUTAGE_SECONDS = 10.0
ENVIRON = {"LOOM_BREAKER_OPEN_SECONDS": "3"}


async def outage(model: SimulatedModel, seconds: float = OUTAGE_SECONDS) -> None:
    """The endpoint is gone for so long; connections to it are refused."""
    await model.stop()
    await asyncio.sleep(seconds)
    await model.start(urlsplit(model.base_url).port)


def notice(folder) -> str | None:
    with closing(sqlite3.connect(f"file:{folder}/.loom/loom.db?mode=ro", uri=True, timeout=10)) as database:
        return database.execute("SELECT notice FROM pipeline_runs").fetchone()[0]


@pytest.mark.timeout(180)
async def test_an_embedded_run_pauses_says_so_and_finishes_by_itself(tmp_path, model):
    made = project(tmp_path, RECORDS, transform=ai(model.base_url), extract={"batch_size": 10})
    made.say(**at_once(MODEL_CALLS_AT_ONCE))
    running = await Command.begin(made.folder, "run", "pipeline.yaml", "--format", "json", environ=ENVIRON)
    assert await running.reach(lambda: model.calls >= RECORDS // 4)

    told = ""

    def pauses() -> bool:
        nonlocal told
        told = notice(made.folder) or ""
        return "pauses" in told

    await model.stop()
    assert await running.reach(pauses)
    await model.start(urlsplit(model.base_url).port)
    end = await running.end()

    assert len(runs(made.folder)) == 1
    assert told.startswith(f"transform pauses: model gpt-4o-mini at {model.base_url} is away; next probe in ")
    assert "cannot be reached" in told or "broke off its answer" in told  # which call fails first is not sure
    assert_complete(end.report, await made.loaded(), review_ids(RECORDS))
    assert model.calls <= RECORDS + MODEL_CALLS_AT_ONCE


@pytest.mark.timeout(240)
async def test_a_run_in_a_cluster_outlives_its_endpoint(cluster, model):
    made = project(
        cluster.project / "outage",
        RECORDS,
        name="outage",
        transform=ai(model.base_url, cache={"enabled": False}),
        destination="${RESULTS}?table=outage",
        extract={"batch_size": 10},
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")

    async with open_session(config, cluster=True) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        async with within(60):
            while model.calls < RECORDS // 4:
                await asyncio.sleep(0.01)
        await outage(model)
        async with within(90):
            finished = await ended(session, run_id)

    assert_complete(finished.report.model_dump(), await made.loaded(cluster.credentials), review_ids(RECORDS))
    assert model.calls <= RECORDS + MODEL_CALLS_AT_ONCE


@pytest.mark.timeout(240)
async def test_a_run_whose_endpoint_is_away_holds_no_other_run_up(cluster, model):
    """The second run comes while the worker pauses for the first."""
    config = LoomConfig.load(cluster.project / "loom.yaml")
    absent = SimulatedModel(latency=0.01)

    def made(name: str, base_url: str):
        return project(
            cluster.project / name,
            RECORDS,
            name=name,
            transform=ai(base_url, cache={"enabled": False}),
            destination=f"${{RESULTS}}?table={name}",
            extract={"batch_size": 10},
        )

    def pauses(progress: RunProgress) -> bool:
        return "pauses" in (progress.notice or "")

    port = reserve_port()
    held, free = made("held_up", f"http://127.0.0.1:{port}/v1"), made("free", model.base_url)
    async with open_session(config, cluster=True) as session:
        first = (await session.start(request_of(held, config))).run_id
        async with within(60):
            assert isinstance(await until(session, first, pauses), RunProgress)
            second = (await session.start(request_of(free, config))).run_id
            finished = await ended(session, second)
        assert_complete(finished.report.model_dump(), await free.loaded(cluster.credentials), review_ids(RECORDS))
        assert await held.loaded(cluster.credentials) == []

        await absent.start(port)
        try:
            async with within(90):
                finished = await ended(session, first)
        finally:
            await absent.stop()
    assert_complete(finished.report.model_dump(), await held.loaded(cluster.credentials), review_ids(RECORDS))
    assert absent.calls == RECORDS
