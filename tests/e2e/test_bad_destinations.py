"""Tests a bad destination: words that name the place and the remedy, the one row kept back, the rest loaded."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import asyncpg

from loom import Loom
from loom.project.config import LoomConfig
from loom.session import open_session
from support.books import assert_balanced, assert_complete
from support.clients import ended, request_of
from support.projects import ai, ids, project, python, review_ids
from support.told import failed, kept, only, refused


def test_a_place_where_nothing_can_be_written_fails_the_run_with_its_name(loom, tmp_path):
    """Not even root makes a file in /sys, so this holds for whoever runs the tests."""
    project(tmp_path, 5, destination="/sys/loom/out.csv")
    told = loom("run", "pipeline.yaml", "--allow-path", "/sys")
    assert told.code in (1, 2)
    assert "Traceback" not in told.err
    words = told.err + told.out
    assert "/sys" in words
    assert f"on {socket.gethostname()}" in words
    assert "name another place" in " ".join(words.split())


async def test_a_read_only_database_fails_the_run_and_resume_loads_once_it_can_be_written(
    tmp_path, monkeypatch, postgres_url, clean_environ
):
    monkeypatch.setenv("RESULTS", postgres_url)
    made = project(tmp_path, 30, destination="${RESULTS}?table=t")
    (tmp_path / "loom.yaml").touch()
    config = LoomConfig.load(tmp_path / "loom.yaml")
    await _set_read_only(postgres_url, read_only=True)

    async with open_session(config, cluster=False) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        stopped = (await ended(session, run_id)).report
        assert stopped.status == "failed"
        assert "read-only" in str(stopped.error)
        assert_balanced(stopped.model_dump())

    await _set_read_only(postgres_url, read_only=False)
    async with open_session(config, cluster=False) as session:
        await session.resume(run_id)
        finished = await ended(session, run_id)
    assert_complete(finished.report.model_dump(), await made.loaded({"RESULTS": postgres_url}), review_ids(30))


async def _set_read_only(url: str, *, read_only: bool) -> None:
    connection = await asyncpg.connect(url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(
        f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if read_only else 'off'}"
    )
    await connection.close()


def table(folder: Path, columns: str) -> None:
    with closing(sqlite3.connect(folder / "out.db")) as database:
        database.execute(f"CREATE TABLE t ({columns})")


def test_a_lacking_column_that_is_passed_on_is_told_before_the_run_with_the_columns_there_are(loom, tmp_path):
    project(tmp_path, 5, destination="sqlite:///out.db?table=t")
    table(tmp_path, "id TEXT PRIMARY KEY, review TEXT")
    words = refused(loom)
    assert "out.db?table=t has no column 'stars', which every record of the source has; its columns are id" in words
    assert "ALTER TABLE" in words


def test_a_lacking_column_that_only_a_run_shows_fails_it_with_the_columns_there_are(loom, tmp_path):
    code = "def judged(record):\n    return {'mood': 'good'}\n"
    project(tmp_path, 5, destination="sqlite:///out.db?table=t", transform=python(), code=code)
    table(tmp_path, "id TEXT PRIMARY KEY, review TEXT")
    error = failed(loom)
    assert "The table t has no column 'mood'; its columns are id, review" in error
    assert "ALTER TABLE" in error


def test_a_lacking_column_that_the_output_declares_is_told_before_the_run(loom, tmp_path):
    project(tmp_path, 5, transform=ai("http://127.0.0.1:20001/v1"), destination="sqlite:///out.db?table=t")
    table(tmp_path, "id TEXT PRIMARY KEY, mood TEXT")
    words = refused(loom)
    assert "The table t has no column 'confidence'; its columns are id, mood" in words


async def test_a_row_that_violates_a_constraint_is_kept_at_load_and_its_neighbours_load(
    tmp_path, monkeypatch, postgres_url, clean_environ
):
    monkeypatch.setenv("RESULTS", postgres_url)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE t (id text PRIMARY KEY, review text, stars text CHECK (id <> 'r000007'))")
    await connection.close()
    made = project(tmp_path, 30, destination="${RESULTS}?table=t", extract={"batch_size": 10})
    (tmp_path / "loom.yaml").touch()
    loom = Loom(tmp_path / "loom.yaml")

    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline))

    record = only(await loom.get_quarantined_records(run_id=result.run_id))
    assert (record["record_id"], record["failure_stage"]) == ("r000007", "load")
    assert "violates check constraint" in record["failure_reason"]
    assert record["record_data"]["id"] == "r000007"
    assert (result.status, result.report.records["loaded"]) == ("succeeded", 29)
    loaded = await made.loaded({"RESULTS": postgres_url})
    assert ids(loaded) == [each for each in review_ids(30) if each != "r000007"]


def test_a_row_that_violates_a_constraint_of_sqlite_is_kept_alike(loom, tmp_path):
    made = project(tmp_path, 30, destination="sqlite:///out.db?table=t", extract={"batch_size": 10})
    table(tmp_path, "id TEXT PRIMARY KEY CHECK (id <> 'r000007'), review TEXT, stars TEXT")
    record = only(kept(loom, loaded=29))
    assert (record["record_id"], record["failure_stage"]) == ("r000007", "load")
    assert "CHECK constraint failed" in record["failure_reason"]
    assert json.dumps(record["record_data"])
    assert "r000007" not in ids(asyncio.run(made.loaded()))
