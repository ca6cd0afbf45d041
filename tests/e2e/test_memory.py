"""Memory does not grow with the number of records: six times (in the long form ten times) as many, the same peak.

The long form measures 30,000 and 300,000 rows. The short one has fewer and longer ones, whose difference would
still show: 30,000 rows of 1,000 characters that a process keeps take 47 MB."""

from __future__ import annotations

import sys
from pathlib import Path

import asyncpg
import pytest

from loom import Loom
from support.cluster import NAMES, Cluster, running
from support.length import LONG
from support.measured_runs import measured
from support.projects import Project, project, reviews

FEW, MANY = (30_000, 300_000) if LONG else (10_000, 40_000)
WIDTH = 100 if LONG else 1_000
"""Characters added to each record."""
LIMIT_MB = 200.0
TOLERANCE_MB = 36.0
"""A longer run has more moments in which many batches happen to be large at once: its peak is 4 to 26 MB higher."""


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
