"""Tests that a process may die between the columns that it adds to a table and the rows of its batch."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest

from support.command import runs
from support.destinations import MSSQL, SNOWFLAKE
from support.sql_systems import SQL_SYSTEMS, Database

ROWS = [{"id": at, "text": f"t{at}", **({"extra": at} if at > 2 else {})} for at in range(6)]
DYING = """
import os, signal
from loom.cli.app import main
from loom_common.resilience import failpoints

os._exit = lambda _: os.kill(os.getpid(), signal.SIGKILL)
failpoints.arm("loader", "loader:after_alter:1")
main(["run", "pipeline.yaml"])
"""
SERVED = [system for system in SQL_SYSTEMS if system.server is not None and system.location not in (MSSQL, SNOWFLAKE)]


@pytest.mark.parametrize("system", SERVED, ids=lambda system: system.server)
def test_resume_loads_each_row_once_and_adds_no_column_twice(system, tmp_path, loom, request, monkeypatch):
    database = Database.of(system, tmp_path, request.getfixturevalue(system.server))
    for name in ("DB", "MARIADB"):
        monkeypatch.setenv(name, database.url)
    asyncio.run(database.make_table("CREATE TABLE scores (id integer PRIMARY KEY, text varchar(20))"))
    (tmp_path / "loom.yaml").touch()
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    definition = {
        "name": "evolves",
        "extract": {"source": "in.jsonl", "key": "id", "batch_size": 2},
        "transform": {"type": "passthrough"},
        "load": {"destination": system.location, "mode": "append", "schema": "auto"},
    }
    (tmp_path / "pipeline.yaml").write_text(json.dumps(definition))

    died = subprocess.run([sys.executable, "-c", DYING], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(asyncio.run(database.rows())) < len(ROWS)
    resumed = loom("resume", runs(tmp_path)[-1], "--format", "json")
    assert (resumed.code, resumed.report["records"]["loaded"]) == (0, len(ROWS))
    there = asyncio.run(database.run("SELECT * FROM scores ORDER BY id"))
    assert [tuple(row) for row in there] == [(row["id"], row["text"], row.get("extra")) for row in ROWS]
