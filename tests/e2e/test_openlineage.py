"""Tests that a collector of lineage, and a file, are told of runs, and that no run waits for them or fails of them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from aiohttp import web

from loom import Loom
from loom.cli.app import main
from loom.session import open_session
from loom_coordinator.openlineage import due, transport
from loom_coordinator.openlineage.run_event import event_id
from loom_dev.backends.ports import reserve_port
from loom_dev.waiting import patience, within
from support.clients import ended, request_of
from support.openlineage import events_in, valid
from support.projects import project, python

CODE = "def judged(record):\n    return {'mood': 'good'}\n\ndef broken(record):\n    raise ValueError(record['id'])\n"


@asynccontextmanager
async def collector(port: int, *, hangs: bool = False) -> AsyncIterator[list[Any]]:
    """Provide a server that takes events at the usual path: what it was sent, with the token."""
    sent: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        if hangs:
            await asyncio.sleep(3600)
        sent.append((request.headers.get("Authorization"), valid(await request.json())))
        return web.Response()

    app = web.Application()
    app.router.add_post("/api/v1/lineage", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield sent
    finally:
        await runner.cleanup()


def told(folder) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / ".loom" / "loom.db")) as database:
        return database.execute("SELECT event, attempts, error FROM openlineage_told ORDER BY told_at").fetchall()


async def test_a_file_gets_the_events_of_a_run_with_its_columns_and_checks(tmp_path, here):
    (tmp_path / "loom.yaml").write_text("openlineage: {file: lineage/events.jsonl, namespace: team}\n")
    checks = {"source": "reviews.csv", "key": "id", "quality_checks": [{"check": "not_null", "column": "review"}]}
    made = project(tmp_path, 20, extract=checks, transform=python(), code=CODE)
    loom = Loom(tmp_path / "loom.yaml")
    result = await loom.run_pipeline(made.pipeline)
    start, complete = events_in(tmp_path / "lineage/events.jsonl", result.run_id)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"] == event_id(result.run_id)
    assert complete["job"]["namespace"] == "team"
    assert complete["inputs"][0]["name"] == str(tmp_path / "reviews.csv")
    assert complete["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"] is True
    assert complete["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 20


def test_a_run_by_a_command_names_the_task_that_the_environment_names(tmp_path, loom, monkeypatch):
    (tmp_path / "loom.yaml").write_text("openlineage: {file: events.jsonl}\n")
    project(tmp_path, 2)
    task = "01978f6a-8c1e-7c1b-9d0e-3f0a5b6c7d8e"
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"air/flow/daily.reviews/{task}")
    loom("run", "pipeline.yaml")
    [start, _] = events_in(tmp_path / "events.jsonl")
    assert start["run"]["facets"]["parent"]["run"]["runId"] == task
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", task)
    refused = loom("run", "pipeline.yaml")
    assert refused.code == 2
    assert f"OPENLINEAGE_PARENT_ID is '{task}', where NAMESPACE/JOB/UUID is expected" in " ".join(refused.err.split())


async def test_a_run_that_fails_and_one_that_is_cancelled_are_told_so(tmp_path, here, slowly):
    (tmp_path / "loom.yaml").write_text("openlineage: {file: events.jsonl}\n")
    made = project(tmp_path, 400, transform=python("transforms:broken"), code=CODE, extract={"batch_size": 1})
    failed = await Loom(tmp_path / "loom.yaml").run_pipeline(made.pipeline)
    assert failed.status == "failed"
    assert [each["eventType"] for each in events_in(tmp_path / "events.jsonl")] == ["START", "FAIL"]
    async with within(60), open_session(here.config, cluster=False) as session:
        run = (await session.start(request_of(made, here.config))).run_id
        await session.cancel(run)
        await ended(session, run)
    assert [each["eventType"] for each in events_in(tmp_path / "events.jsonl", run)] == ["START", "ABORT"]


async def test_a_collector_gets_each_event_with_the_token(tmp_path, here, monkeypatch):
    port = reserve_port()
    monkeypatch.setenv("LINEAGE_TOKEN", "s3cret")
    where = f"openlineage: {{url: 'http://127.0.0.1:{port}', api_key: '${{LINEAGE_TOKEN}}'}}\n"
    (tmp_path / "loom.yaml").write_text(where)
    made = project(tmp_path, 5)
    async with collector(port) as sent:
        await Loom(tmp_path / "loom.yaml").run_pipeline(made.pipeline)
    assert [(token, event["eventType"]) for token, event in sent] == [
        ("Bearer s3cret", "START"),
        ("Bearer s3cret", "COMPLETE"),
    ]
    assert told(tmp_path) == [("COMPLETE", 0, None)]


async def test_a_collector_that_is_away_is_told_by_the_next_run(tmp_path, here, monkeypatch):
    monkeypatch.setattr(due, "_FIRST_DELAY", due._FIRST_DELAY * 0)
    port = reserve_port()
    (tmp_path / "loom.yaml").write_text(f"openlineage: {{url: 'http://127.0.0.1:{port}'}}\n")
    made = project(tmp_path, 5)
    loom = Loom(tmp_path / "loom.yaml")
    first = await loom.run_pipeline(made.pipeline)
    assert first.status == "succeeded"
    [(event, attempts, error)] = told(tmp_path)
    assert (event, attempts > 0) == (None, True)
    assert error == "the collector at 127.0.0.1 cannot be reached (ClientConnectorError)"
    async with collector(port) as sent:
        second = await loom.run_pipeline(made.pipeline)
    assert sorted((each["run"]["runId"], each["eventType"]) for _, each in sent) == sorted(
        (event_id(run.run_id), kind) for run in (first, second) for kind in ("START", "COMPLETE")
    )


async def test_a_collector_that_hangs_neither_fails_a_run_nor_holds_it_up(tmp_path, here, monkeypatch):
    monkeypatch.setattr(transport, "SEND_SECONDS", 0.5)
    port = reserve_port()
    (tmp_path / "loom.yaml").write_text(f"openlineage: {{url: 'http://127.0.0.1:{port}'}}\n")
    made = project(tmp_path, 5)
    began = time.monotonic()
    async with collector(port, hangs=True):
        result = await Loom(tmp_path / "loom.yaml").run_pipeline(made.pipeline)
    assert result.status == "succeeded"
    assert time.monotonic() - began < patience(20)
    assert told(tmp_path)[0][2] == "it took longer than 0.5 s"


def test_nobody_is_told_where_nothing_is_said_and_a_mistake_is_placed(tmp_path, loom, capsys):
    project(tmp_path, 2)
    loom("run", "pipeline.yaml")
    assert told(tmp_path) == []
    (tmp_path / "loom.yaml").write_text("openlineage:\n  api_key: ${TOKEN}\n")
    with pytest.raises(SystemExit):
        main(["validate", "pipeline.yaml"])
    assert "loom.yaml:2:3" in capsys.readouterr().err.replace("\n", "")


async def test_a_cluster_tells_of_its_runs(cluster):
    made = project(cluster.project / "told", 30, name="told", destination="${RESULTS}?table=told")
    loom = Loom(cluster.project / "loom.yaml")
    async with within(120):
        result = await loom.run_pipeline(made.pipeline, cluster=True)
        while len(events := events_in(cluster.project.parent / "lineage.jsonl", result.run_id)) < 2:
            await asyncio.sleep(0.1)
    assert [each["eventType"] for each in events] == ["START", "COMPLETE"]
    assert events[1]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 30
    assert events[1]["outputs"][0]["name"].endswith(".public.told")
    assert {"id", "review"} <= {each["name"] for each in events[1]["inputs"][0]["facets"]["schema"]["fields"]}
