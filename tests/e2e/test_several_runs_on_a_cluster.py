"""Tests backfills and chains of pipelines in a cluster, where a run goes on though the command that began it is
gone."""

from __future__ import annotations

import asyncio
import json

import pytest

from loom.session import Session
from support.backfills import RANGE, Gate, made, run_ids, statuses, written
from support.command import Command
from support.places import spent
from support.projects import ai
from support.simulated_model import served_in_a_thread

DAYS = [f"2024-01-0{day}" for day in range(1, 5)]


@pytest.fixture
def project(cluster, request):
    """Makes the pipeline in a folder that the services read."""
    folder = made(cluster.project / request.node.name)
    (folder / "mended").touch()
    return folder


@pytest.fixture
def clustered(cluster, project, loom):
    """Runs `loom ...` in this process, for the cluster."""
    return lambda *arguments: loom(*arguments, "--config", str(cluster.project / "loom.yaml"), "--format", "json")


def loads(table):
    return {"destination": f"${{RESULTS}}?table={table}", "mode": "append", "include": ["day"]}


async def days(cluster, table):
    return [row["day"] for row in await cluster.rows(f"SELECT day FROM {table} ORDER BY day")]


def test_a_backfill_goes_on_after_ctrl_c_and_after_sigkill_and_loads_no_day_twice(
    cluster, project, clustered, monkeypatch
):
    written(project, name="killed_days", load=loads("killed_days"))
    call = ("backfill", str(project / "pipeline.yaml"), *RANGE[:-1], "2024-01-04")
    config = ("--config", str(cluster.project / "loom.yaml"), "--format", "json")
    stopped, killed = asyncio.run(interrupted_and_killed(cluster, project, *call, *config))
    assert (stopped.code, statuses(stopped)) == (130, ["succeeded", "paused", "not run", "not run"])
    known = asyncio.run(cluster.rows("SELECT run_id, status FROM pipeline_runs WHERE pipeline_name = 'killed_days'"))
    assert sorted(run["status"] for run in known) == ["running", "succeeded", "succeeded"]

    closed, follow = [killed], Session.follow

    def opening(session, run_id):
        """Let the killed command's day go on once the next command waits for a day."""
        while closed:
            closed.pop().open()
        return follow(session, run_id)

    monkeypatch.setattr(Session, "follow", opening)
    third = clustered(*call)
    assert (third.code, statuses(third)) == (0, ["succeeded"] * 4)
    assert run_ids(third)[:2] == run_ids(stopped)[:2]
    assert set(run_ids(third)[:3]) == {run["run_id"] for run in known}
    (left,) = asyncio.run(cluster.rows("SELECT epoch FROM pipeline_runs WHERE run_id = $1", run_ids(third)[2]))
    assert left["epoch"] == 1, "what a cluster works on is not resumed"
    assert asyncio.run(days(cluster, "killed_days")) == DAYS


async def interrupted_and_killed(cluster, project, *call):
    """Interrupt a backfill on its second day, and kill its next call on the third day, whose gate stays closed. Return
    what the first call said, and the gate."""
    gate = Gate(project, "2024-01-02")
    first = await Command.begin(project, *call, environ=cluster.credentials)
    assert await first.reach(gate.is_reached)
    first.interrupt()
    stopped = await first.end()
    gate.open()

    gate = Gate(project, "2024-01-03")
    second = await Command.begin(project, *call, environ=cluster.credentials)
    assert await second.reach(gate.is_reached)
    await second.kill()
    return stopped, gate


def test_a_day_that_fails_in_a_cluster_is_run_again_and_one_budget_holds_for_all(cluster, project, clustered):
    (project / "mended").unlink()
    written(project, name="failed_days", load=loads("failed_days"))
    call = ("backfill", str(project / "pipeline.yaml"), *RANGE)
    first = clustered(*call)
    assert (first.code, statuses(first)) == (1, ["succeeded", "failed", "succeeded"])
    (project / "mended").touch()
    second = clustered(*call)
    assert (second.code, run_ids(second)[::2]) == (0, run_ids(first)[::2])
    assert asyncio.run(days(cluster, "failed_days")) == DAYS[:3]

    with served_in_a_thread() as model:
        model.tokens_per_answer = 900
        asks = {**ai(model.base_url, max_tokens=1000), "prompt": "What is the mood of {{ input.day }}?"}
        written(project, name="paid_days", load=loads("paid_days"), transform=asks)
        clustered("run", str(project / "pipeline.yaml"), "--param", "day=2024-01-04")
        cost = spent(model)
        limited = clustered(*call, "--budget", f"{cost * 1.8:.9f}")
        assert (limited.code, statuses(limited)) == (1, ["succeeded", "paused", "not run"])
        assert spent(model) <= cost * 2.8
        last = clustered(*call, "--budget", "0.5")
    assert (last.code, statuses(last)) == (0, ["succeeded"] * 3)
    assert run_ids(last)[:2] == run_ids(limited)[:2]
    assert asyncio.run(days(cluster, "paid_days")) == DAYS


def test_pipelines_that_depend_on_one_run_after_it_in_a_cluster(cluster, clustered):
    folder = cluster.project / "pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "chained.csv").write_text("id\n1\n2\n")
    last = "${RESULTS}?table=chained"
    for name, above, source, destination in (
        ("chain_a", [], "chained.csv", "chain_a.jsonl"),
        ("chain_b", ["chain_a"], "chain_a.jsonl", "chain_b.jsonl"),
        ("chain_c", ["chain_b"], "chain_b.jsonl", last),
    ):
        sections = {"extract": {"source": source}, "load": {"destination": destination}}
        written = {"name": name, "depends_on": above, "transform": {"type": "passthrough"}, **sections}
        lines = (f"{key}: {json.dumps(value)}\n" for key, value in written.items())
        (folder / f"{name}.yaml").write_text("".join(lines))
    done = clustered("run", "chain_a", "--downstream")
    assert done.code == 0
    ends = [(each["name"], each["status"], each["report"]["records"]["loaded"]) for each in done.report["runs"]]
    assert ends == [(f"chain_{letter}", "succeeded", 2) for letter in "abc"]
    assert len(asyncio.run(cluster.rows("SELECT * FROM chained"))) == 2
