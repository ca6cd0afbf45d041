"""Tests that a value stays unique when what checks it is killed with SIGKILL."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_dev.waiting import within
from support.books import assert_balanced
from support.clients import ended, request_of
from support.command import Command, loom, runs
from support.projects import ids, project

RECORDS = 800
ROWS = [{"id": f"r{n:06}", "review": f"review {n % (RECORDS // 2)}", "stars": "1"} for n in range(RECORDS)]
"""Each review stands in the source twice, far apart."""
CHECKS = {"quality_checks": [{"column": "review", "check": "unique"}], "max_failure_rate": None, "batch_size": 10}


def assert_each_once(report, rows) -> None:
    assert (report["status"], report["error"]) == ("succeeded", None)
    assert_balanced(report)
    assert (report["records"]["loaded"], report["records"]["quarantined"]) == (RECORDS // 2, RECORDS // 2)
    assert len({row["review"] for row in rows}) == len(set(ids(rows))) == len(rows) == RECORDS // 2
    [check] = report["checks"]
    assert (check["seen"], check["missed"]) == (RECORDS, RECORDS // 2)


@pytest.mark.parametrize("service", ["extractor", "loader"])
async def test_a_value_is_loaded_once_where_a_service_that_checks_it_is_killed(service, cluster):
    name = f"unique_at_{service}"
    at_load = service == "loader"
    made = project(
        cluster.project / name,
        ROWS,
        name=name,
        destination=f"${{RESULTS}}?table={name}",
        extract={"batch_size": 10} if at_load else CHECKS,
        load={key: CHECKS[key] for key in ("quality_checks", "max_failure_rate")} if at_load else {},
    )
    config = LoomConfig.load(cluster.project / "loom.yaml")
    watching = await asyncpg.connect(cluster.state_url)
    seen = await watching.prepare("SELECT count(*) FROM seen_values WHERE check_name = $1")
    label = f"{'load' if at_load else 'extract'}/review_unique"
    before = await seen.fetchval(label)
    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        async with within(60):
            while await seen.fetchval(label) == before:
                await asyncio.sleep(0)
        cluster.kill(service)
        await cluster.serve()
        finished = await ended(session, accepted.run_id)
    await watching.close()
    assert_each_once(finished.report.model_dump(), await made.loaded(cluster.credentials))


async def test_a_value_is_loaded_once_by_an_embedded_run_that_is_killed_and_resumed(tmp_path):
    made = project(tmp_path, ROWS, destination="sqlite:///out.db?table=unique_rows", extract=CHECKS)
    command = await Command.begin(made.folder, "run", made.pipeline.name, "--format", "json")
    journal = tmp_path / ".loom" / "journal.db-wal"
    await command.reach(lambda: bool(runs(made.folder)) and journal.exists() and journal.stat().st_size > 100_000)
    await command.kill()
    finished = await loom(made.folder, "resume", runs(made.folder)[-1], "--format", "json")
    assert_each_once(finished.report, await made.loaded())
