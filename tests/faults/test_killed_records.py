"""Tests a cluster's runs over records that Python code gave, of which a service is killed with SIGKILL."""

import asyncio
from uuid import uuid4

import pytest

from loom import Loom
from loom_dev.waiting import within
from support.books import assert_complete
from support.projects import project, review_ids

RECORDS = 1500
PARTITIONS = "FROM partitions JOIN pipeline_runs USING (run_id) WHERE pipeline_name = $1"


def given():
    for n in range(RECORDS):
        yield {"id": f"r{n:06}", "review": f"Review {n}", "stars": "3"}


@pytest.mark.timeout(200)
async def test_records_from_python_come_through_a_cluster_whose_extractor_is_killed(cluster):
    table = f"given_{uuid4().hex[:12]}"
    destination = f"${{RESULTS}}?table={table}"
    extract = {"batch_size": 10, "key": "id"}
    made = project(cluster.project / table, 1, name=table, destination=destination, extract=extract)
    loom = Loom(cluster.project / "loom.yaml")
    run = asyncio.create_task(loom.run_pipeline(loom.load_pipeline(made.pipeline), records=given(), cluster=True))
    async with within(60):
        while not await cluster.rows(f"SELECT 1 {PARTITIONS} AND cursor IS NOT NULL", table):
            await asyncio.sleep(0.005)
    cluster.kill("extractor")
    (read,) = await cluster.rows(f"SELECT sealed {PARTITIONS}", table)
    await cluster.serve()
    async with within(100):
        result = await run

    assert not read["sealed"], "nothing was left to read when it was killed"
    assert_complete(result.report.model_dump(), await made.loaded(cluster.credentials), review_ids(RECORDS))
    (known,) = await cluster.rows("SELECT records, definition FROM pipeline_runs WHERE pipeline_name = $1", table)
    assert known["records"].startswith("given_")
    assert not await cluster.rows("SELECT name FROM payloads WHERE run_id = $1", known["records"])
    (registered,) = await cluster.rows("SELECT definition FROM pipelines WHERE name = $1", table)
    assert "loom-records" in known["definition"]
    assert "loom-records" not in registered["definition"]


@pytest.mark.timeout(200)
async def test_rows_come_back_to_python_once_each_from_a_cluster_whose_loader_is_killed(cluster):
    name = f"rows_{uuid4().hex[:12]}"
    made = project(cluster.project / name, 1, name=name, extract={"batch_size": 10, "key": "id"})
    loom = Loom(cluster.project / "loom.yaml")
    pipeline = loom.load_pipeline(made.pipeline)
    run = asyncio.create_task(loom.run_pipeline(pipeline, records=given(), cluster=True, collect=True))
    async with within(60):
        while not await cluster.rows("SELECT 1 FROM payloads WHERE run_id LIKE 'kept\\_%'"):
            await asyncio.sleep(0.005)
    cluster.kill("loader")
    before = await cluster.rows("SELECT count(*) AS number FROM payloads WHERE run_id LIKE 'kept\\_%'")
    await cluster.serve()
    async with within(100):
        result = await run

    assert before[0]["number"] < RECORDS / 10, "nothing was left to load when it was killed"
    assert [row["id"] for row in result.records()] == review_ids(RECORDS)
    assert not await cluster.rows("SELECT 1 FROM payloads WHERE run_id LIKE 'kept\\_%'")
