"""Gives records over HTTP to a pipeline on a cluster: the services are processes, the API runs here."""

from __future__ import annotations

import asyncio

from loom import Loom
from loom.project.config import LoomConfig
from loom_api import service
from loom_api.running import record_runs
from loom_api.settings import ApiSettings
from loom_dev.waiting import patience, within
from support.api import client_of
from support.projects import project

PIPELINE = """
name: kinds
extract: {source: none.csv, key: id, batch_size: 1}
ingest: 1h
transform: {type: passthrough}
evaluate: {evaluators: [{name: small, type: range, field: n, max: 99, threshold: 1}]}
load: {destination: "${RESULTS}?table=kinds"}
"""
GIVE = "/pipelines/kinds/records?wait=60s"


async def test_rows_of_a_cluster_come_back_to_python_and_leave_nothing_there(cluster):
    destination = "${RESULTS}?table=collected"
    extract = {"batch_size": 10, "key": "id"}
    made = project(cluster.project / "collected", 1, name="collected", destination=destination, extract=extract)
    loom = Loom(cluster.project / "loom.yaml")
    rows = [{"id": n, "text": f"«{n}»\n", "big": 2**53 + n, "none": None, "deep": {"a": [n]}} for n in range(250)]
    async with within(120):
        result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), records=rows, cluster=True, collect=True)
    assert (result.status, list(result.records())) == ("succeeded", rows)
    assert await cluster.rows("SELECT name FROM payloads WHERE run_id LIKE 'kept\\_%' OR run_id LIKE 'given\\_%'") == []
    assert await cluster.rows("SELECT 1 FROM pg_tables WHERE tablename = 'collected'") == []
    (registered,) = await cluster.rows("SELECT definition FROM pipelines WHERE name = $1", "collected")
    assert "loom-rows" not in registered["definition"]


async def test_few_records_are_answered_and_each_is_taken_once_by_two_replicas(cluster, monkeypatch):
    monkeypatch.setattr(record_runs, "_PATIENCE_SECONDS", patience(60))
    (cluster.project / "kinds.yaml").write_text(PIPELINE)
    config = LoomConfig.load(cluster.project / "loom.yaml").for_cluster()
    async with (
        within(120),
        service.opened(config, ApiSettings()) as first,
        service.opened(config, ApiSettings()) as second,
        client_of(first) as one,
        client_of(second) as other,
    ):
        body = [{"id": "b", "n": 1}, {"id": "a", "n": 100}]
        answers = [each.json() for each in await asyncio.gather(one.post(GIVE, json=body), other.post(GIVE, json=body))]
        [taken] = [each for each in answers if each["duplicate_count"] == 0]
        [known] = [each for each in answers if each["duplicate_count"] == 2]
        told = [(each["record_id"], each["status"], each["output"]) for each in taken["outputs"]]
        assert told == [("b", "loaded", {"id": "b", "n": 1}), ("a", "rejected", {"id": "a", "n": 100})]
        assert {each["run_id"] for each in known["duplicates"]} == {taken["run_id"]}
        assert len((await other.get(f"/runs/{taken['run_id']}/outputs")).json()) == 2
