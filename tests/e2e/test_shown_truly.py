"""What is shown is true: progress within a batch, waiting apart from answering, counts of runs that have not ended."""

from __future__ import annotations

import asyncio
import json

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.flow import Stage
from support.clients import ended, request_of, until
from support.projects import ai, project
from support.simulated_model import SimulatedModel

CODE = """
import time
from pathlib import Path

HERE = Path(__file__).parent


def judged(record):
    while int(record["id"][1:]) >= 6 and not (HERE / "go").exists():
        time.sleep(0.01)
    return {"score": int(record["stars"]) / 5}


def good(output, record):
    return output["score"]
"""


@pytest.fixture(params=["embedded", "distributed"])
def mode(request, tmp_path):
    """Provide a folder for a pipeline, and the configuration it runs with, both ways."""
    if request.param == "embedded":
        request.getfixturevalue("clean_environ")
        (tmp_path / "loom.yaml").touch()
        return tmp_path, LoomConfig.load(tmp_path / "loom.yaml"), "out.jsonl"
    cluster = request.getfixturevalue("cluster")
    folder = cluster.project / f"shown_{tmp_path.name}"
    config = LoomConfig.load(cluster.project / "loom.yaml").for_cluster()
    return folder, config, f"${{RESULTS}}?table=shown_{tmp_path.name}"


async def test_progress_moves_while_a_batch_is_worked_on(mode):
    folder, config, destination = mode
    made = project(folder, 10, transform={"type": "python", "function": "transforms:judged"}, code=CODE,
                   destination=destination)  # fmt: skip
    async with open_session(config, cluster=config.distributed) as session:
        run_id = (await session.start(request_of(made, config))).run_id
        seen = await until(session, run_id, lambda said: said.stages[Stage.TRANSFORM].records_out == 6)
        assert seen.tally.transformed == 0  # the batch itself is not done
        made.path("go").touch()
        assert (await ended(session, run_id)).report.records["loaded"] == 10


async def test_the_latency_is_the_answers_and_waiting_is_told_apart(tmp_path, clean_environ):
    (tmp_path / "loom.yaml").touch()
    config = LoomConfig.load(tmp_path / "loom.yaml")
    async with SimulatedModel(latency=0.2) as model:
        limited = ai(model.base_url, rate_limit={"requests_per_minute": 240})
        made = project(tmp_path, 20, transform=limited, destination="out.jsonl")
        made.say(monitoring={"latency_sla": {"p95": 1.5}})
        async with open_session(config, cluster=False) as session:
            report = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
            again = (await ended(session, (await session.start(request_of(made, config))).run_id)).report
    assert report.records["loaded"] == 20
    assert 0.15 < report.latency["p50"] < 1.5
    assert report.waited["p95"] > 1.5
    assert report.alerts == ()
    assert (again.calls["made"], again.latency["p50"]) == (0, None)  # nothing was asked: there is nothing to tell


def test_an_evaluator_without_a_threshold_has_no_pass_rate_and_the_gates_threshold_can_be_another(loom, tmp_path):
    weighted = {"type": "weighted", "threshold": 0.9}
    evaluator = {"type": "python", "name": "good", "function": "transforms:good"}
    made = project(tmp_path, 5, transform={"type": "python", "function": "transforms:judged"}, code=CODE,
                   evaluate={"evaluators": [evaluator], "quality_gate": weighted}, destination="out.jsonl")  # fmt: skip
    report = loom("run", str(made.pipeline), "--format", "json").report
    assert (report["records"]["rejected"], report["evaluation"]["good"]["pass_rate"]) == (4, None)
    assert "100.0%" not in loom("status", report["run_id"]).out
    refused = loom("quarantine", "retry", report["run_id"], "--threshold", "good=0.1")
    assert refused.code == 2
    assert "expected `gate`: under a weighted gate no evaluator's threshold decides" in refused.err
    retried = loom("quarantine", "retry", report["run_id"], "--threshold", "gate=0.5", "--format", "json").report
    assert (retried["records"]["loaded"], retried["records"]["rejected"]) == (2, 2)


def test_history_counts_a_run_that_has_not_ended(loom, tmp_path, monkeypatch):
    made = project(tmp_path, 10, transform={"type": "python", "function": "transforms:judged"}, code=CODE,
                   extract={"batch_size": 2}, destination="out.jsonl")  # fmt: skip
    (tmp_path / "loom.yaml").touch()
    config = LoomConfig.load(tmp_path / "loom.yaml")

    async def paused() -> None:
        async with open_session(config, cluster=False) as session:
            run_id = (await session.start(request_of(made, config))).run_id
            await until(session, run_id, lambda said: said.tally.loaded >= 4)
            made.path("go").touch()
            await session.pause(run_id)
            async for event in session.follow(run_id):
                if event.status == "paused":
                    break

    asyncio.run(paused())
    [row] = json.loads(loom("history", made.definition["name"], "--format", "json").out)
    assert row["status"] == "paused"
    assert row["records_processed"] == 10
    assert row["records_validated"] >= 4
