"""Serves a small project by the API in this process, with the engine that its commands start."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx

from loom.project.config import LoomConfig
from loom_api import service
from loom_api.settings import ApiSettings
from loom_dev.waiting import INTERVAL, within
from support.api import client_of

PIPELINE = """
name: numbers
params: {least: {type: integer, default: 0}}
extract: {source: in.csv, key: id, batch_size: 1}
transform: {type: python, function: "code:doubled"}
load: {destination: "sqlite:///out.db?table=doubles", mode: upsert, key: [id]}
"""
CODE = """
def doubled(record):
    return {"double": 2 * int(record["n"])}
"""


def make_project(folder: Path) -> None:
    """Write a pipeline over three records, of which the last is none."""
    (folder / "numbers.yaml").write_text(PIPELINE)
    (folder / "code.py").write_text(CODE)
    (folder / "in.csv").write_text("id,n\na,1\nb,2\nc,x\n")


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, list[str]]]:
    """Serve the project, and give a client and a list of the runs that are paused at the end."""
    paused: list[str] = []
    async with (
        within(30),
        service.opened(LoomConfig(), ApiSettings(**settings), paused.append) as application,
        client_of(application) as client,
    ):
        yield client, paused


async def started(
    client: httpx.AsyncClient, path: str = "/pipelines/numbers/run", said: Any = None, **headers: str
) -> str:
    """Start a run, and return its id."""
    answer = await client.post(path, json=said, headers=headers)
    assert answer.status_code == 202, answer.text
    run_id: str = answer.json()["run_id"]
    assert answer.headers["location"] == f"/api/v1/runs/{run_id}"
    return run_id


async def reached(
    client: httpx.AsyncClient, run_id: str, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Wait until the report of a run is as `condition` says, and return it."""
    report: dict[str, Any] = (await client.get(f"/runs/{run_id}")).json()
    async with within(60, f"{run_id}, of which this was known first: {report}"):
        while not condition(report):
            await asyncio.sleep(INTERVAL)
            report = (await client.get(f"/runs/{run_id}")).json()
    return report


async def ended(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    """Wait until a run has ended, and return its report."""
    statuses = ("succeeded", "partial", "failed", "cancelled")
    return await reached(client, run_id, lambda report: report["status"] in statuses)


def rows(project: Path) -> dict[str, int]:
    """Return what was loaded, by the ids of records."""
    with closing(sqlite3.connect(project / "out.db")) as db:
        return dict(db.execute("SELECT id, double FROM doubles"))
