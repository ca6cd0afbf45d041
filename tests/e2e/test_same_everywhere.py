"""Tests that the same pipeline over the same data gives, embedded and on RabbitMQ, byte for byte the same."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import asyncpg
import duckdb
import pytest

from loom import Loom
from loom.api import RunResult
from support.books import assert_balanced
from support.buckets import KEYS, bucket_of
from support.cluster import Cluster
from support.file_contents import content_of
from support.projects import Project, ai, project, python, reviews
from support.sql_systems import in_mysql

RECORDS = 250

CODE = '''
"""What the pipeline under test does to a review."""


def judged(record):
    number = int(record["id"][1:])
    if number % 50 == 3:
        raise ValueError(f"review {number} cannot be judged")
    stars = int(record["stars"])
    return {"stars": stars, "words": len(record["review"].split()), "share": stars / 7, "label": record["review"][:5]}
'''

GATED = {
    "evaluators": [
        {"type": "range", "name": "enough_stars", "field": "stars", "min": 2, "threshold": 1.0},
        {"type": "length", "name": "labelled", "field": "label", "min": 1, "threshold": 1.0},
    ]
}

BUCKET = "s3://tests/${S3_FOLDER}"
FROM_AND_TO = {
    "csv": ("reviews.csv", "out.csv"),
    "jsonl": ("reviews.jsonl", "out.jsonl"),
    "sqlite": ("sqlite:///reviews.db?table=reviews", "sqlite:///out.db?table=judged"),
    "duckdb": ("duckdb:///reviews.duckdb?table=reviews", "duckdb:///out.duckdb?table=judged"),
    "mariadb": ("${file:mariadb.url}?table=same_reviews", "${file:mariadb.url}?table=same_judged"),
    "postgres": ("${RESULTS}?table=same_reviews", "${RESULTS}?table=same_judged"),
    "parquet": ("reviews.csv", "out.parquet"),
    "bucket": (f"{BUCKET}/in.parquet{KEYS}", f"{BUCKET}/out.parquet{KEYS}"),
}


async def fill(source: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Put the reviews where the pipeline will read them."""
    rows = list(reviews(RECORDS))
    values = [tuple(row.values()) for row in rows]
    if source.endswith(".jsonl"):
        (folder / source).write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    elif source.startswith("sqlite:"):
        with closing(sqlite3.connect(folder / "reviews.db")) as database, database:
            database.execute("CREATE TABLE reviews (id TEXT PRIMARY KEY, review TEXT, stars TEXT)")
            database.executemany("INSERT INTO reviews VALUES (?, ?, ?)", values)
    elif source.startswith("duckdb:"):
        with closing(duckdb.connect(folder / "reviews.duckdb")) as database:
            database.execute("CREATE TABLE reviews (id TEXT PRIMARY KEY, review TEXT, stars TEXT)")
            database.executemany("INSERT INTO reviews VALUES (?, ?, ?)", values)
    elif source.startswith("${file:"):
        url = await asyncio.to_thread(Path(source.removeprefix("${file:").partition("}")[0]).read_text)
        await in_mysql(url, "DROP TABLE IF EXISTS same_reviews, same_judged, loom_load_ledger")
        await in_mysql(url, "CREATE TABLE same_reviews (id VARCHAR(20) PRIMARY KEY, review TEXT, stars TEXT)")
        texts = ", ".join(f"('{number}', '{review}', '{stars}')" for number, review, stars in values)
        await in_mysql(url, f"INSERT INTO same_reviews VALUES {texts}")
    elif source.startswith("${RESULTS}"):
        connection = await asyncpg.connect(environ["RESULTS"])
        await connection.execute("CREATE TABLE same_reviews (id TEXT PRIMARY KEY, review TEXT, stars TEXT)")
        await connection.copy_records_to_table("same_reviews", records=values)
        await connection.close()
    elif source.startswith(BUCKET):
        bucket_of(environ).put("in.parquet", content_of("in.parquet", rows))


async def outcome(made: Project, result: RunResult, loom: Loom, environ: Mapping[str, str]) -> bytes:
    """Return all that a run leaves: the destination, ordered by key, and the records kept back, with reasons and
    scores."""
    kept = await loom.get_quarantined_records(run_id=result.run_id, limit=RECORDS)
    told = [
        {
            name: record[name]
            for name in ("record_id", "failure_stage", "failure_reason", "record_data", "evaluation_scores")
        }
        for record in kept
    ]
    report = result.report.model_dump()
    return json.dumps(
        {
            "status": report["status"],
            "records": report["records"],
            "evaluation": {name: round(each["mean"], 12) for name, each in report["evaluation"].items()},
            "rows": await made.loaded(environ),
            "kept": sorted(told, key=lambda record: str(record["record_id"])),
        },
        sort_keys=True,
    ).encode()


async def both(
    place: str, cluster: Cluster, tmp_path: Path, monkeypatch, postgres_url: str, **settings: object
) -> tuple[bytes, bytes, list[RunResult]]:
    results = []
    outcomes = []
    for folder, environ, loom_yaml, clustered in (
        (tmp_path / place, {**cluster.environ, "RESULTS": postgres_url}, tmp_path / "loom.yaml", False),
        (cluster.project / place, {**cluster.environ, **cluster.credentials}, cluster.project / "loom.yaml", True),
    ):
        secret = str(loom_yaml.with_name("mariadb.url"))
        source, destination = (each.replace("mariadb.url", secret) for each in FROM_AND_TO[place])
        made = project(
            folder, RECORDS, name=f"same_{place}", source=source, destination=destination, extract={"batch_size": 20},
            **settings,
        )  # fmt: skip
        await fill(source, folder, environ)
        loom_yaml.touch()
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        loom = Loom(loom_yaml)
        results.append(await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=clustered))
        outcomes.append(await outcome(made, results[-1], loom, environ))
        if place in ("csv", "jsonl"):
            outcomes[-1] += made.path(destination).read_bytes()
    return outcomes[0], outcomes[1], results


@pytest.fixture
def secret_file(request, tmp_path, cluster):
    """Puts the URL of MariaDB into each project, where a pipeline over it reads it."""
    if "mariadb" in request.node.name:
        for folder in (tmp_path, cluster.project):
            (folder / "mariadb.url").write_text(request.getfixturevalue("mariadb_url"))


@pytest.mark.parametrize("place", FROM_AND_TO)
async def test_python_evaluators_and_a_gate(
    place, cluster, tmp_path, monkeypatch, postgres_url, clean_environ, secret_file
):
    embedded, distributed, results = await both(
        place, cluster, tmp_path, monkeypatch, postgres_url, transform=python(), evaluate=GATED, code=CODE,
        load={"include": ["review"]},
    )  # fmt: skip

    assert embedded == distributed
    for result in results:
        assert result.status == "succeeded"
        assert_balanced(result.report.model_dump())
        records = result.report.records
        assert (records["extracted"], records["quarantined"]) == (RECORDS, 5)
        assert records["rejected"] > 0
        assert records["loaded"] == RECORDS - 5 - records["rejected"]


async def test_a_model(cluster, tmp_path, monkeypatch, postgres_url, model, clean_environ):
    embedded, distributed, results = await both(
        "csv", cluster, tmp_path, monkeypatch, postgres_url, transform=ai(model.base_url)
    )

    assert embedded == distributed
    assert [result.report.calls["made"] for result in results] == [RECORDS, RECORDS]
    assert model.calls == 2 * RECORDS
