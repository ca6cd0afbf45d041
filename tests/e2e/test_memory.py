"""Memory does not grow with the number of records: six times (in the long form ten times) as many, the same peak.

The long form measures 30,000 and 300,000 rows. The short one has fewer and longer ones, whose difference would
still show: 30,000 rows of 1,000 characters take 30 MB as text alone."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loom import Loom
from support.buckets import KEYS, bucket_of
from support.cluster import NAMES, Cluster, running
from support.length import LONG
from support.projects import Project, project, reviews

FEW, MANY = (30_000, 300_000) if LONG else (10_000, 40_000)
WIDTH = 100 if LONG else 1_000
"""Characters added to each record."""
LIMIT_MB = 200.0
PARQUET_LIMIT_MB = 300.0
"""Limits an embedded run that writes Parquet into a bucket. The libraries of Parquet import pandas where it is
installed (docs/performance.md)."""
TOLERANCE_MB = 16.0
"""Between two runs of the same size, peaks differ by a few MB: what the allocator happens to keep."""


def rows(folder: Path, count: int, destination: str) -> Project:
    return project(
        folder,
        reviews(count, width=WIDTH),
        name=f"memory_{count}",
        destination=destination,
        extract={"batch_size": 100},
    )


@pytest.mark.timeout(900)
async def test_embedded_into_sqlite(tmp_path):
    peaks = {}
    for count in (FEW, MANY):
        made = rows(tmp_path / str(count), count, "sqlite:///out.db?table=reviews")
        out, peaks[count] = await measured(made)
        assert f'"loaded": {count}' in out
        print(f"embedded, {count} rows: {peaks[count]:.0f} MB")

    assert peaks[MANY] < LIMIT_MB
    assert peaks[MANY] < peaks[FEW] + TOLERANCE_MB


@pytest.mark.skipif(not LONG, reason="it takes minutes: `make memory`")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("source", ["csv", "postgres"])
async def test_embedded_a_million_rows_into_parquet_on_s3(tmp_path, s3_environment, postgres_url, source):
    million = 1_000_000
    result = f"s3://tests/${{S3_FOLDER}}/out.parquet{KEYS}"
    made = project(
        tmp_path, reviews(million if source == "csv" else 1), destination=result, extract={"batch_size": 500}
    )
    if source == "postgres":
        made.say(extract={**made.definition["extract"], "source": "${DB}?table=reviews"})
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "CREATE TABLE reviews AS SELECT 'r' || lpad(n::text, 7, '0') AS id, 'Plain review ' || n AS review, "
            f"n % 5 + 1 AS stars FROM generate_series(1, {million}) AS n; ALTER TABLE reviews ADD PRIMARY KEY (id)"
        )
        await connection.close()
    began = time.monotonic()
    out, peak = await measured(made, {**s3_environment, "DB": postgres_url})
    took = time.monotonic() - began
    assert f'"loaded": {million}' in out
    written = pq.read_metadata(pa.BufferReader(bucket_of(s3_environment).content("out.parquet")))
    print(f"embedded, {million:,} rows from {source} into Parquet on S3: {peak:.0f} MB, {took:.0f} s")
    assert written.num_rows == million
    assert peak < PARQUET_LIMIT_MB


async def measured(made: Project, environ: Mapping[str, str] | None = None) -> tuple[str, float]:
    """Run the pipeline in a process of its own; what it printed, and its peak in MB."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = ["-m", "support.measured_loom", "peak", "run", "pipeline.yaml", "--format", "json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=made.folder,
        env={**os.environ, **(environ or {}), "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode(), float(made.path("peak").read_text())


@pytest.mark.timeout(1200)
async def test_distributed_into_postgres(tmp_path, amqp_url, postgres_url, monkeypatch):
    """Run few rows, then many, by the same processes. What these ever held at most does not become less, so many rows
    cannot hide behind few."""
    peaks = {}
    cluster = Cluster(tmp_path / "project", bus_url=amqp_url, state_url=postgres_url, python=Path(sys.executable))
    for name, value in cluster.credentials.items():
        monkeypatch.setenv(name, value)
    async with running(cluster):
        for count in (FEW, MANY):
            made = rows(cluster.project, count, f"${{RESULTS}}?table=reviews_{count}")
            loom = Loom(cluster.project / "loom.yaml")
            result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=True)
            peaks[count] = cluster.peaks()
            shown = ", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks[count].items())
            print(f"distributed, {count} rows in {result.report.duration_seconds:.1f} s: {shown}")
            assert (result.status, result.report.records["loaded"]) == ("succeeded", count)
            assert await distinct(postgres_url, f"reviews_{count}") == count

    for service in NAMES:
        few, many = peaks[FEW][service], peaks[MANY][service]
        assert many < LIMIT_MB, service
        assert many < few + TOLERANCE_MB, service


async def distinct(url: str, table: str) -> int:
    """Return how many ids the table holds; every row has its own."""
    connection = await asyncpg.connect(url)
    try:
        ids, rows = await connection.fetchrow(f'SELECT count(DISTINCT id), count(*) FROM "{table}"')
    finally:
        await connection.close()
    assert ids == rows
    return int(ids)
